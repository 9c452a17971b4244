#include <linux/tiny.h>

static noinline int twin(int v)
{
	return v * 3;
}

int kernel_twin(int v)
{
	return twin(v) + 1;
}
