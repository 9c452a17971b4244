void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))

static noinline int inner(int x)
{
	return x * jiffies_now(x);
}

int f(int x)
{
	return inner(x) + 1;
}
