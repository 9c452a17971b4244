// want: nothing
extern int work(int);
extern int kernel_limit, kernel_level;
int f(int a)
{
	work(a + kernel_limit + kernel_level);
	kernel_level = a;
	return 0;
}
