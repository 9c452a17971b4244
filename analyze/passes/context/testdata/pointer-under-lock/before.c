typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; int (*ops)(struct foo *); };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern void msleep(unsigned int);
extern int walk(struct foo *, int (*)(struct foo *)); extern int helper(struct foo *); extern int scan(struct foo *);
int fill(struct foo *f);
int fill(struct foo *f) { _raw_spin_lock(&f[1].lock); f->state++; _raw_spin_unlock(&f[1].lock); return 0; }
