// A good livepatch of vmlinux: /proc/cmdline says something else.
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int new_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "klpvm sample\n");
	return 0;
}

static struct klp_func funcs[] = {
	{ .old_name = "cmdline_proc_show", .new_func = new_cmdline_proc_show },
	{ }
};
static struct klp_object objs[] = { { .funcs = funcs }, { } };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };

static int __init sample_init(void) { return klp_enable_patch(&patch); }
static void __exit sample_exit(void) { }
module_init(sample_init);
module_exit(sample_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
