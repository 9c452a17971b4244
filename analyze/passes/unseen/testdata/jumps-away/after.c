// want: nothing
void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))

static noinline void helper(int x)
{
	msleep(x ^ 5);
}

int f(int x)
{
	helper(x + 1);
}
