#include <linux/demo.h>

int c_value(void)
{
	return DEMO_VALUE + __LINE__;
}
