void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))

int other(int);

int f(int x)
{
	return x + 1;
}
