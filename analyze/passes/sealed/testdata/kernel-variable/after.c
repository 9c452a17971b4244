// want: KLP129 error f
// text: kernel_limit
extern int work(int);
extern int kernel_limit, kernel_level;
int f(int a)
{
	work(a + kernel_limit + kernel_level);
	kernel_limit = a;
	return 0;
}
