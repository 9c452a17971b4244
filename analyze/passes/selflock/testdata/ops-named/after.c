// want: KLP214 warning my_make
// text: sys_make holds mutex:rtnl_mutex at sys_make
// text: my_make (through dir_ops.make) -> rtnl_lock
// cflags: -gbtf
struct mutex { long v; };
struct dir { int state; const struct dir_ops *ops; };
struct dir_ops { int (*make)(struct dir *, int); int (*look)(struct dir *, int); };
extern int helper(int); void rtnl_lock(void); void rtnl_unlock(void);
static int my_make(struct dir *d, int n) { int r; rtnl_lock(); r = d->state * n; rtnl_unlock(); return r; }
static int my_look(struct dir *d, int n) { return helper(n) + d->state; }
const struct dir_ops my_ops = { .make = my_make, .look = my_look };
