// want: KLP206 error fill
// text: fill holds spin:arg0+0x4
// text: interrupts disabled
typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; void *buf; };
#define GFP_ATOMIC 0xa20u
#define GFP_KERNEL 0xcc0u
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern unsigned long _raw_spin_lock_irqsave(spinlock_t *); extern void _raw_spin_unlock_irqrestore(spinlock_t *, unsigned long);
extern void *__kmalloc(unsigned long, unsigned int); extern void kfree(void *); extern void msleep(unsigned int); extern int printk_like(int);
int fill(struct foo *f) { unsigned long x = _raw_spin_lock_irqsave(&f->lock); f->state++; msleep(1); _raw_spin_unlock_irqrestore(&f->lock, x); return 0; }
