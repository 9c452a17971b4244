__attribute__((cold)) void _printk(const char *, ...);
void mutex_lock(int *);
void mutex_unlock(int *);
int work(int *);
#define noinline __attribute__((noinline))
#define barrier() __asm__ volatile("" ::: "memory")

int f(int *p)
{
	return work(p);
}
