// want: nothing
void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))

static noinline int helper(int *x)
{
	return *x * 3;
}

int f(int *x)
{
	return helper(x + 1);
}
