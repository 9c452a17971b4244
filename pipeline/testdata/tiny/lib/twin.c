#include <linux/tiny.h>
#include <linux/factor.h>

static noinline int twin(int v)
{
	return v * 5;
}

int lib_twin(int v)
{
	return twin(v) + 2;
}
