// want: nothing
typedef struct { int v; } spinlock_t;
struct task { int flags; spinlock_t *lock; int count; };
extern void note(int *); extern int first_new;
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *);
extern struct task *__seg_gs current_task;
static int before_all[16]; static spinlock_t locks[8]; static int n[8];
int zero(void) { note(before_all); return first_new; }
int update(unsigned i) { _raw_spin_lock(&locks[i & 7]); n[i & 7] += 2; _raw_spin_unlock(&locks[i & 7]); return 0; }
int mine(void) { struct task *t = current_task; _raw_spin_lock(t->lock); t->count += 2; _raw_spin_unlock(t->lock); return 0; }
