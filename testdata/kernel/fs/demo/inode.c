#include "demo.h"
#include <linux/demo.h>

int inode_value(void)
{
	return DEMO_VALUE + __LINE__;
}
