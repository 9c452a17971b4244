// want: KLP216 warning first
// text: first → second → msleep
void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))

static noinline void second(int x)
{
	msleep(x);
}

static noinline int first(int x)
{
	second(x ^ 5);
	return x * 3;
}

int f(int x)
{
	return first(x + 1);
}
