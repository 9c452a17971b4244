// want: KLP216 warning helper
// text: helper → middle → msleep
void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))
void schedule(void);

noinline void middle(int x)
{
	msleep(x + 7);
}

static noinline int helper(int x)
{
	middle(x);
	return x * 3;
}

int f(int x)
{
	return helper(x + 1);
}
