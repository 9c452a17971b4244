void msleep(unsigned int);
int jiffies_now(int);
#define noinline __attribute__((noinline))
void schedule(void);

noinline void middle(int x)
{
	jiffies_now(x);
}

int f(int x)
{
	return x + 1;
}
