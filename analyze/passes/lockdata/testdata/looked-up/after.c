// want: KLP202 warning set
// text: outside of the critical section
typedef struct { int v; } spinlock_t; struct rw_semaphore { long v; };
struct dev { struct dev *parent, *next; spinlock_t lock; struct rw_semaphore sem; int state, count; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *);
extern void down_read(struct rw_semaphore *); extern void up_read(struct rw_semaphore *); extern void down_write(struct rw_semaphore *); extern void up_write(struct rw_semaphore *);
extern void *kmalloc(unsigned long); extern void publish(struct dev *);
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
extern struct dev *find(int); struct rw_semaphore all; int set(int id, int v) { struct dev *d; down_write(&all); d = find(id); _raw_spin_lock(&d->lock); d->count++; _raw_spin_unlock(&d->lock); d->state = v; up_write(&all); return 0; }
