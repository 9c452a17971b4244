#include <linux/demo.h>

int a_value(void)
{
	return DEMO_VALUE + __LINE__;
}
