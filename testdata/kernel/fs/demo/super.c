#include <linux/demo.h>

int super_value(void)
{
	return DEMO_VALUE + __LINE__;
}
#include "impl.c"
#if __has_include("late.h")
#include "late.h"
#endif
