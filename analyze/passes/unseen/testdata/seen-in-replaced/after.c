// want: nothing
void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))

noinline int middle(int x)
{
	msleep(x + 7);
	return x;
}

static noinline int helper(int x)
{
	return middle(x) * 3;
}

int f(int x)
{
	return helper(x + 1);
}
