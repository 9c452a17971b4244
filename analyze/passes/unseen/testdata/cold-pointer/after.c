// want: KLP216 unknown f
// text: a function through a pointer
__attribute__((cold)) void _printk(const char *, ...);
void mutex_lock(int *);
void mutex_unlock(int *);
int work(int *);
#define noinline __attribute__((noinline))
#define barrier() __asm__ volatile("" ::: "memory")
int (*op)(int *);

int f(int *p)
{
	int r = work(p);

	if (r) {
		_printk("bad %d", r);
		r += op(p);
		return r;
	}
	return work(p + 1);
}
