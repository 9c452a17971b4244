typedef struct { int v; } spinlock_t;
struct dir { int state; spinlock_t lock; const struct dir_ops *ops; };
struct dir_ops { int (*make)(struct dir *, int); int (*look)(struct dir *, int); };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern int helper(int);
spinlock_t big;
static int __attribute__((noinline)) make(struct dir *d, int n) { return d->ops->make(d, n) + helper(n); }
int sys_make(struct dir *d, int n) { int r; _raw_spin_lock(&d->lock); r = make(d, n) + 1; _raw_spin_unlock(&d->lock); return r; }
int sys_look(struct dir *d, int n) { return d->ops->look(d, n) + 1; }
int sys_big(struct dir *d, int n) { int r; _raw_spin_lock(&big); r = make(d, n + 2) + 2; _raw_spin_unlock(&big); return r; }
static int my_make(struct dir *d, int n) { int r; r = d->state * n; return r; }
static int my_look(struct dir *d, int n) { return helper(n) + d->state; }
const struct dir_ops my_ops = { .make = my_make, .look = my_look };
