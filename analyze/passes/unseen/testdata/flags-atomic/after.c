// want: nothing
// cflags: -fno-ipa-cp
void *__kmalloc(unsigned long, unsigned int);
#define noinline __attribute__((noinline))

static noinline int helper(int x, unsigned int gfp)
{
	return *(int *)__kmalloc(x, gfp);
}

int f(int x)
{
	return helper(x + 1, 0xa20);
}
