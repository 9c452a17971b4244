struct mutex { int v; };
struct foo { int state; struct mutex lock; int refs; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int work(struct foo *);
__attribute__((noinline)) int helper(struct foo *f, int locked) { return work(f); }
int caller(struct foo *f) { int r; mutex_lock(&f->lock); r = helper(f, 1); mutex_unlock(&f->lock); return r; }
int other(struct foo *f) { return helper(f, 0) + 1; }
