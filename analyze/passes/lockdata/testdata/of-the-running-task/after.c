// want: KLP202 warning set
typedef struct { int v; } spinlock_t; struct rw_semaphore { long v; };
struct dev { struct dev *parent, *next; spinlock_t lock; struct rw_semaphore sem; int state, count; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *);
extern void down_read(struct rw_semaphore *); extern void up_read(struct rw_semaphore *); extern void down_write(struct rw_semaphore *); extern void up_write(struct rw_semaphore *);
extern void *kmalloc(unsigned long); extern void publish(struct dev *);
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
struct task { struct dev *dev; int own; }; extern struct task *__seg_gs current_task; int set(struct dev *o, int v) { struct dev *d = current_task->dev; _raw_spin_lock(&o->lock); d->state = v; _raw_spin_unlock(&o->lock); return o->count; }
