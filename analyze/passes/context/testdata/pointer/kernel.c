typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; int (*ops)(struct foo *); };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern void msleep(unsigned int);
extern int walk(struct foo *, int (*)(struct foo *)); extern int helper(struct foo *); extern int scan(struct foo *);
int helper(struct foo *f) { int r; _raw_spin_lock(&f->lock); r = f->ops(f); _raw_spin_unlock(&f->lock); return r + 1; }
int scan(struct foo *f) { return f->ops(f) + 1; }
