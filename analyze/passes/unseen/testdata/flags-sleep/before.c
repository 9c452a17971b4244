void *__kmalloc(unsigned long, unsigned int);
#define noinline __attribute__((noinline))

int f(int x)
{
	return x + 1;
}
