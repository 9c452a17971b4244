typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; void *buf; };
extern spinlock_t big; extern int fill(struct foo *);
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern void msleep(unsigned int); extern int helper(int);
__attribute__((noinline)) int middle(struct foo *f) { return fill(f) + 1; }
spinlock_t big;
int outer(struct foo *f) { int r; _raw_spin_lock(&big); r = middle(f); _raw_spin_unlock(&big); return r; }
int fine(struct foo *f) { _raw_spin_lock(&big); f->state++; _raw_spin_unlock(&big); return fill(f); }
