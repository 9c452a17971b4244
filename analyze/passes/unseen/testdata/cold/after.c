// want: nothing
__attribute__((cold)) void _printk(const char *, ...);
void mutex_lock(int *);
void mutex_unlock(int *);
int work(int *);
#define noinline __attribute__((noinline))
#define barrier() __asm__ volatile("" ::: "memory")

int f(int *p)
{
	int r = work(p);

	if (r) {
		_printk("bad %d", r);
		mutex_lock(p);
		p[1] = 0;
		mutex_unlock(p);
		return r;
	}
	return work(p + 1);
}
