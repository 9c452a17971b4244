#include <linux/module.h>
#include <linux/tiny.h>

int tiny_handle(int v);

static int tiny_init(void)
{
	return tiny_handle(1) < 0;
}

static void tiny_exit(void)
{
}

module_init(tiny_init);
module_exit(tiny_exit);
MODULE_LICENSE("GPL");
