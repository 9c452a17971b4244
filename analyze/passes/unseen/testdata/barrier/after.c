// want: nothing
void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))
#define barrier() __asm__ volatile("" ::: "memory")

static noinline int helper(int x)
{
	msleep(x);
	return x * 3;
}

int f(int x)
{
	int ret = helper(x + 1);

	barrier();
	return ret;
}
