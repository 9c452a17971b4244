typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern int work(struct foo *);
__attribute__((noinline)) static int prepare(struct foo *f) { return work(f); }
int caller(struct foo *f) { int r; _raw_spin_lock(&f->lock); r = prepare(f); _raw_spin_unlock(&f->lock); return r; }
