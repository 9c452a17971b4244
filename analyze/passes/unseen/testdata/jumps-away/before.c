void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))

int f(int x)
{
	return x + 1;
}
