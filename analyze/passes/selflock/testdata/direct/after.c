// want: KLP214 error helper
// text: caller holds mutex:arg0+0x4 and waits for it again
// text: caller -> helper -> mutex_lock
// text: dir/case.c:9
struct mutex { int v; };
struct foo { int state; struct mutex lock; int refs; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int work(struct foo *);
__attribute__((noinline)) int helper(struct foo *f) { int r; mutex_lock(&f->lock); r = work(f); mutex_unlock(&f->lock); return r; }
int caller(struct foo *f) { int r; mutex_lock(&f->lock); r = helper(f); mutex_unlock(&f->lock); return r; }
