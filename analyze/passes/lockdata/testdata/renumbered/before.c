typedef struct { int v; } spinlock_t;
struct task { int flags; spinlock_t *lock; int count; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *);
extern struct task *__seg_gs current_task;
static spinlock_t locks[8]; static int n[8];
int update(unsigned i) { _raw_spin_lock(&locks[i & 7]); n[i & 7]++; _raw_spin_unlock(&locks[i & 7]); return 0; }
int mine(void) { struct task *t = current_task; _raw_spin_lock(t->lock); t->count++; _raw_spin_unlock(t->lock); return 0; }
