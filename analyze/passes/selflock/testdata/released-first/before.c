struct mutex { int v; };
struct foo { int state; struct mutex lock; int refs; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int work(struct foo *);
__attribute__((noinline)) int helper(struct foo *f) { return work(f); }
int caller(struct foo *f) { mutex_lock(&f->lock); f->state++; mutex_unlock(&f->lock); return helper(f); }
