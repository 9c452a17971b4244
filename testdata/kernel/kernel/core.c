#include <linux/demo.h>

int core_value(void)
{
	return DEMO_VALUE + __LINE__;
}
