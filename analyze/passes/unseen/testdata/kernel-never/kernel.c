#define noinline __attribute__((noinline))
void mutex_lock(int *);
int busy;

noinline int other(int x)
{
	return x * x;
}
