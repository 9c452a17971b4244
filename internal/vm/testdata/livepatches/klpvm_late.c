// A good livepatch of a module: /sys/block/loop0/loop/autoclear says 9.
#include <linux/device.h>
#include <linux/livepatch.h>
#include <linux/module.h>

static ssize_t new_show(struct device *d, struct device_attribute *a, char *b)
{
	return sysfs_emit(b, "9\n");
}

static struct klp_func funcs[] = {
	{ .old_name = "loop_attr_do_show_autoclear", .new_func = new_show },
	{ }
};
static struct klp_object objs[] = { { .name = "loop", .funcs = funcs }, { } };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };

static int __init late_init(void) { return klp_enable_patch(&patch); }
static void __exit late_exit(void) { }
module_init(late_init);
module_exit(late_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
