// want: nothing
struct mutex { int v; };
struct foo { int state; struct mutex lock; int refs; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int work(struct foo *);
__attribute__((noinline)) int helper(struct foo *f) { int r; mutex_lock(&f->lock); r = work(f); mutex_unlock(&f->lock); return r; }
int caller(struct foo *f) { mutex_lock(&f->lock); f->state++; mutex_unlock(&f->lock); return helper(f); }
