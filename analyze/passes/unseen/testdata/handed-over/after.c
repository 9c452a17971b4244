// want: KLP216 warning helper
// text: f → bus_for_each_dev → helper → msleep
// text: f (by way of bus_for_each_dev) jumps to it
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
	return bus_for_each_dev(0, 0, x, helper);
}
