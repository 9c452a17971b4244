// want: nothing
void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))

static noinline int helper(int x)
{
	msleep(x);
	return x * 3;
}

static noinline int inner(int x)
{
	return helper(x ^ 5);
}

int f(int x)
{
	return inner(x + jiffies_now(x)) + 1;
}
