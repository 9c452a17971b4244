// want: KLP216 warning undo
// text: f → undo → mutex_lock
__attribute__((cold)) void _printk(const char *, ...);
void mutex_lock(int *);
void mutex_unlock(int *);
int work(int *);
#define noinline __attribute__((noinline))
#define barrier() __asm__ volatile("" ::: "memory")

static noinline int undo(int *p)
{
	mutex_lock(p);
	p[1] = 0;
	mutex_unlock(p);
	return 3;
}

int f(int *p)
{
	int r = work(p);

	if (r) {
		_printk("bad %d", r);
		return undo(p);
	}
	return work(p + 1);
}
