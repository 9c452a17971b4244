#include <linux/demo.h>

int lost_value(void)
{
	return DEMO_VALUE + __LINE__;
}
