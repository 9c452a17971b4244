#include <linux/demo.h>

int super_value(void)
{
	return DEMO_VALUE + __LINE__;
}
#include "impl.c"
