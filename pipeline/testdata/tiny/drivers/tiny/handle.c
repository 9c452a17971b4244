#include <linux/tiny.h>

static int handled;

static noinline int tiny_weight(int v)
{
	handled += v;
	return handled;
}

noinline int tiny_handle(int v)
{
	return core_value(tiny_weight(v));
}
