// want: KLP216 warning first
// text: first → second → msleep
void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))

static noinline int second(int x)
{
	msleep(x);
	return x * 3;
}

static noinline int first(int x)
{
	return second(x ^ 5);
}

int f(int x)
{
	return first(x + 1);
}
