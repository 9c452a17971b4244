// want: KLP216 unknown helper
// text: a function through a pointer
void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))

int (*op)(int);

static noinline int helper(int x)
{
	return op(x) * 3;
}

int f(int x)
{
	return helper(x + 1);
}
