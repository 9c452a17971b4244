void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))

noinline int middle(int x)
{
	return jiffies_now(x);
}

int f(int x)
{
	return x + 1;
}
