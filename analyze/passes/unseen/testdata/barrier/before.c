void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))
#define barrier() __asm__ volatile("" ::: "memory")

int f(int x)
{
	return x + 1;
}
