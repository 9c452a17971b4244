// want: KLP201 note take
// text: only initialisation code called it
// text: which has run and is gone: begin
typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *);
static int __attribute__((noinline)) take(struct foo *f)
{
	_raw_spin_lock(&f->lock);
	return f->state++;
}

int __attribute__((section(".init.text"))) begin(struct foo *f);
int __attribute__((section(".init.text"))) begin(struct foo *f)
{
	return take(f) + take(f + 1);
}
