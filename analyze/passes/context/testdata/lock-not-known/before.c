typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; struct foo *next; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern void msleep(unsigned int);
extern struct foo *pick(int); extern int odd(int);
int fill(int n);
int fill(int n)
{
	int sum = 0;
	struct foo *f = pick(n);
	int lock = odd(n);

	if (lock)
		_raw_spin_lock(&f->lock);
	sum += odd(n);
	if (odd(sum))
		_raw_spin_unlock(&f->lock);
	return sum;
}
