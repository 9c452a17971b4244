// want: KLP214 error wait
// text: caller -> wait -> _raw_spin_lock_irq
struct lock { int v; };
struct foo { int state; struct lock lock; int waiting; };
extern void _raw_spin_lock_irq(struct lock *); extern void _raw_spin_unlock_irq(struct lock *); extern void io_schedule(void);
__attribute__((noinline)) void wait(struct foo *f)
{
	f->waiting = 1;
	if (f->state)
		_raw_spin_unlock_irq(&f->lock);
	io_schedule();
	_raw_spin_lock_irq(&f->lock);
}
void caller(struct foo *f) { _raw_spin_lock_irq(&f->lock); f->state++; wait(f); _raw_spin_unlock_irq(&f->lock); }
