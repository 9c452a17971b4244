#include <linux/demo.h>

int b_value(void)
{
	return DEMO_VALUE + __LINE__;
}
