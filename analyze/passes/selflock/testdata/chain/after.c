// want: KLP214 error helper
// text: caller -> middle -> helper -> mutex_lock
struct mutex { int v; };
struct foo { int state; struct mutex lock; int refs; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int work(struct foo *);
__attribute__((noinline)) int helper(struct foo *f) { int r; mutex_lock(&f->lock); r = work(f); mutex_unlock(&f->lock); return r; }
__attribute__((noinline)) static int middle(struct foo *f) { return f->state ? work(f) : helper(f) + 1; }
int caller(struct foo *f) { int r; mutex_lock(&f->lock); r = middle(f); mutex_unlock(&f->lock); return r; }
