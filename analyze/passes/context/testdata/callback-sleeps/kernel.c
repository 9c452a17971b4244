typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; int (*ops)(struct foo *); };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern void msleep(unsigned int);
extern int walk(struct foo *, int (*)(struct foo *)); extern int helper(struct foo *); extern int scan(struct foo *);
int walk(struct foo *f, int (*fn)(struct foo *)) { int n = 0; for (int i = 0; i < f->state; i++) n += fn(f) * 3; return n; }
