#include <linux/demo.h>

int shared_value(void)
{
	return DEMO_VALUE + __LINE__;
}
