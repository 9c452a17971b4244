struct rw_semaphore { long v; };
struct foo { int state; struct rw_semaphore sem; };
extern void down_read(struct rw_semaphore *); extern void up_read(struct rw_semaphore *); extern int work(struct foo *);
__attribute__((noinline)) int helper(struct foo *f) { return work(f); }
int caller(struct foo *f) { int r; down_read(&f->sem); r = helper(f); up_read(&f->sem); return r; }
