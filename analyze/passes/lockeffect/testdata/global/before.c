typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; }; static spinlock_t big;
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern int work(struct foo *);
int prepare(struct foo *f) { return work(f); }
