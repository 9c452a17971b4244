#include <linux/demo.h>

int main_value(void)
{
	return DEMO_VALUE + __LINE__;
}
