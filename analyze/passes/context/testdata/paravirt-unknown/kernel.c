typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; int (*ops)(struct foo *); };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern void msleep(unsigned int);
extern int walk(struct foo *, int (*)(struct foo *)); extern int helper(struct foo *); extern int scan(struct foo *);
int native(void); int native(void) { return 7; }
int other(void); int other(void) { return 8; }
int naps(void); int naps(void) { msleep(7); return 8; }
struct { void *a, *b, *c; } pv_ops = { native, native, 0 };
int guest; void begin(void); void begin(void) { if (guest == 1) pv_ops.a = other; if (guest == 2) pv_ops.b = naps; }
