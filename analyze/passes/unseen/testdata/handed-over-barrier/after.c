// want: nothing
void msleep(unsigned int);
int bus_for_each_dev(void *, void *, void *, int (*)(void *, void *));
#define barrier() __asm__ volatile("" ::: "memory")

static int helper(void *dev, void *data)
{
	msleep(*(int *)data);
	return 0;
}

int f(int *x)
{
	int ret = bus_for_each_dev(0, 0, x, helper);

	barrier();
	return ret;
}
