typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; void *buf; };
extern spinlock_t big; extern int fill(struct foo *);
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern void msleep(unsigned int); extern int helper(int);
int fill(struct foo *f) { return f->state; }
