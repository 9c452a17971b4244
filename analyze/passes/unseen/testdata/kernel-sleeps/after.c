// want: KLP216 warning helper
// text: helper → other → mutex_lock
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
