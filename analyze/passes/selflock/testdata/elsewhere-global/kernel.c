typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; void *buf; };
extern spinlock_t big; extern int fill(struct foo *);
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern void msleep(unsigned int); extern int helper(int);
spinlock_t big;
int outer(struct foo *f) { int r; _raw_spin_lock(&big); r = fill(f); _raw_spin_unlock(&big); return r; }
int inner(struct foo *f) { int r; _raw_spin_lock(&f->lock); r = fill(f) + 1; _raw_spin_unlock(&f->lock); return r; }
