// A livepatch that works, and makes the kernel warn when it is loaded.
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int new_version_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "klpvm warn\n");
	return 0;
}

static struct klp_func funcs[] = {
	{ .old_name = "version_proc_show", .new_func = new_version_proc_show },
	{ }
};
static struct klp_object objs[] = { { .funcs = funcs }, { } };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };

static int __init warn_init(void)
{
	WARN(1, "klpvm warns");
	return klp_enable_patch(&patch);
}
static void __exit warn_exit(void) { }
module_init(warn_init);
module_exit(warn_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
