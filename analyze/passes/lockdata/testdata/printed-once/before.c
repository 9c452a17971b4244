typedef struct { int v; } spinlock_t; struct rw_semaphore { long v; };
struct dev { struct dev *parent, *next; spinlock_t lock; struct rw_semaphore sem; int state, count; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *);
extern void down_read(struct rw_semaphore *); extern void up_read(struct rw_semaphore *); extern void down_write(struct rw_semaphore *); extern void up_write(struct rw_semaphore *);
extern void *kmalloc(unsigned long); extern void publish(struct dev *);
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
static int __already_done __attribute__((section(".data.once"))); int set(struct dev *d, int v) { _raw_spin_lock(&d->lock); __already_done = 1; d->state = v; _raw_spin_unlock(&d->lock); return 0; }
