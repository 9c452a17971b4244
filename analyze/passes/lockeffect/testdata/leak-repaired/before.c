typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern int work(struct foo *);
int update(struct foo *f) { _raw_spin_lock(&f->lock); if (work(f)) return -5; f->state = 1; _raw_spin_unlock(&f->lock); return 0; }
