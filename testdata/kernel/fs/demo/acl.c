#include <linux/demo.h>

int acl_value(void)
{
	return DEMO_VALUE + __LINE__;
}
