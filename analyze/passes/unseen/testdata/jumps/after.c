// want: KLP216 warning helper
// text: helper → msleep
// text: f jumps to it instead of calling it
// text: barrier() between the call and the return in f
void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))

static noinline int helper(int x)
{
	msleep(x);
	return x * 3;
}

int f(int x)
{
	return helper(x + 1);
}
