// want: KLP216 warning f
// text: f (out of line): f → wait_for_completion_interruptible
// text: barrier() before the message
__attribute__((cold)) void _printk(const char *, ...);
void mutex_lock(int *);
void mutex_unlock(int *);
int wait_for_completion_interruptible(int *);
int work(int *);
#define noinline __attribute__((noinline))
#define barrier() __asm__ volatile("" ::: "memory")

int f(int *p)
{
	int r = work(p);

	if (r) {
		_printk("bad %d", r);
		mutex_lock(p);
		wait_for_completion_interruptible(p + 2);
		mutex_unlock(p);
		return r;
	}
	return work(p + 1);
}
