typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock, other; int count; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern void __rcu_read_lock(void); extern void __rcu_read_unlock(void);
spinlock_t a, b; static int n;
int update(void) { _raw_spin_lock(&a); n++; _raw_spin_unlock(&a); return 0; }
