typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock, other; int count; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern void __rcu_read_lock(void); extern void __rcu_read_unlock(void);
spinlock_t a, b; static int n;
static __attribute__((noinline)) void bump(struct foo *f) { _raw_spin_lock(&f->lock); f->count++; _raw_spin_unlock(&f->lock); }
int use(struct foo *f) { bump(f); return 1; }
