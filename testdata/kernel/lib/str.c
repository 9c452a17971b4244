#include <linux/demo.h>

int str_value(void)
{
	return DEMO_VALUE + __LINE__;
}
