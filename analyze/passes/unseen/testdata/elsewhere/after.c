// want: KLP216 unknown helper
// text: helper → other
void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))

int other(int);

static noinline int helper(int x)
{
	return other(x) * 3;
}

int f(int x)
{
	return helper(x + 1);
}
