void msleep(unsigned int);
int bus_for_each_dev(void *, void *, void *, int (*)(void *, void *));
#define barrier() __asm__ volatile("" ::: "memory")

int f(int *x)
{
	return *x;
}
