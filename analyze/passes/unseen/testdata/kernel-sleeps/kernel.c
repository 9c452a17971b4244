#define noinline __attribute__((noinline))
void mutex_lock(int *);
int busy;

noinline int other(int x)
{
	mutex_lock(&busy);
	return x * x;
}
