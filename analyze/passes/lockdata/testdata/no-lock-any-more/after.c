// want: KLP202 unknown update
// text: under no lock after
typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock, other; int count; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern void __rcu_read_lock(void); extern void __rcu_read_unlock(void);
spinlock_t a, b; static int n;
int update(void) { n += 2; return 0; }
