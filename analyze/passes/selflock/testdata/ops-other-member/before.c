typedef struct { int v; } spinlock_t;
struct dir { int state; spinlock_t lock; const struct dir_ops *ops; };
struct dir_ops { int (*make)(struct dir *, int); int (*look)(struct dir *, int); };
extern spinlock_t big;
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern int helper(int);
static int my_make(struct dir *d, int n) { int r; r = d->state * n; return r; }
static int my_look(struct dir *d, int n) { return helper(n) + d->state; }
const struct dir_ops my_ops = { .make = my_make, .look = my_look };
