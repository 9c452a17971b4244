struct mutex { long v; };
struct dir { int state; const struct dir_ops *ops; };
struct dir_ops { int (*make)(struct dir *, int); int (*look)(struct dir *, int); };
extern int helper(int); void rtnl_lock(void); void rtnl_unlock(void);
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *);
struct mutex rtnl_mutex;
__attribute__((noinline)) void rtnl_lock(void) { mutex_lock(&rtnl_mutex); helper(0); }
__attribute__((noinline)) void rtnl_unlock(void) { mutex_unlock(&rtnl_mutex); helper(1); }
static int __attribute__((noinline)) make(struct dir *d, int n) { return d->ops->make(d, n) + helper(n); }
int sys_make(struct dir *d, int n) { int r; rtnl_lock(); r = make(d, n) + 1; rtnl_unlock(); return r; }
static int my_make(struct dir *d, int n) { int r; r = d->state * n; return r; }
static int my_look(struct dir *d, int n) { return helper(n) + d->state; }
const struct dir_ops my_ops = { .make = my_make, .look = my_look };
