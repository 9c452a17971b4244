// Not a livepatch at all: it kills the kernel when it is loaded, or, with
// refuse=1, does not want to be loaded.
#include <linux/module.h>

static bool refuse;
module_param(refuse, bool, 0);

static noinline void klpvm_crash_now(void)
{
	*(volatile int *)NULL = 1;
}

static int __init crash_init(void)
{
	if (refuse)
		return -EPROTO;
	klpvm_crash_now();
	return 0;
}
static void __exit crash_exit(void) { }
module_init(crash_init);
module_exit(crash_exit);
MODULE_LICENSE("GPL");
