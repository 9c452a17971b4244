// want: KLP214 warning my_make
// text: sys_make holds spin:arg0+0x4 at sys_make
// text: sys_make -> make -> my_make (through dir_ops.make) -> _raw_spin_lock
// cflags: -gbtf
typedef struct { int v; } spinlock_t;
struct dir { int state; spinlock_t lock; const struct dir_ops *ops; };
struct dir_ops { int (*make)(struct dir *, int); int (*look)(struct dir *, int); };
extern spinlock_t big;
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern int helper(int);
static int my_make(struct dir *d, int n) { int r; _raw_spin_lock(&d->lock); r = d->state * n; _raw_spin_unlock(&d->lock); return r; }
static int my_look(struct dir *d, int n) { return helper(n) + d->state; }
const struct dir_ops my_ops = { .make = my_make, .look = my_look };
