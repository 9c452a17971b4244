// want: KLP214 warning helper
// text: both times for reading
struct rw_semaphore { long v; };
struct foo { int state; struct rw_semaphore sem; };
extern void down_read(struct rw_semaphore *); extern void up_read(struct rw_semaphore *); extern int work(struct foo *);
__attribute__((noinline)) int helper(struct foo *f) { int r; down_read(&f->sem); r = work(f); up_read(&f->sem); return r; }
int caller(struct foo *f) { int r; down_read(&f->sem); r = helper(f); up_read(&f->sem); return r; }
