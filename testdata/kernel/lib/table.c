#include <linux/demo.h>

int table_value(void)
{
	return DEMO_VALUE + __LINE__;
}
