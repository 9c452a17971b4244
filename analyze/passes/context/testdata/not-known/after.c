// want: KLP206 unknown fill
// text: printk_like is in another object file
typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; void *buf; };
#define GFP_ATOMIC 0xa20u
#define GFP_KERNEL 0xcc0u
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern unsigned long _raw_spin_lock_irqsave(spinlock_t *); extern void _raw_spin_unlock_irqrestore(spinlock_t *, unsigned long);
extern void *__kmalloc(unsigned long, unsigned int); extern void kfree(void *); extern void msleep(unsigned int); extern int printk_like(int);
__attribute__((noinline)) int fill(struct foo *f) { return printk_like(f->state) + 1; }
int caller(struct foo *f) { int r; _raw_spin_lock(&f->lock); r = fill(f); _raw_spin_unlock(&f->lock); return r; }
