struct mutex { int v; };
struct foo { int state; struct mutex lock; int refs; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int work(struct foo *);
__attribute__((noinline)) int helper(struct foo *f, struct foo *g) { return work(g); }
int caller(struct foo *f, struct foo *g) { int r; mutex_lock(&f->lock); r = helper(f, g); mutex_unlock(&f->lock); return r; }
