typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; int (*ops)(struct foo *); };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern void msleep(unsigned int);
extern int walk(struct foo *, int (*)(struct foo *)); extern int helper(struct foo *); extern int scan(struct foo *);
extern struct { void *a, *b, *c; } pv_ops;
#define PV(slot) ({ int r; asm volatile("call *%c1" : "=a" (r) : "i" (&pv_ops.slot) : "memory", "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11"); r; })
static int __attribute__((noinline)) entry(void) { return PV(a) + 1; }
int (*keep)(void) = entry;
int fill(struct foo *f);
int fill(struct foo *f) { _raw_spin_lock(&f->lock); f->state++; _raw_spin_unlock(&f->lock); return 0; }
