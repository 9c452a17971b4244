// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A "test"
 *
 * Made by klpforge for Linux 6.1.0-test. The replacement functions are in
 * the prebuilt objects next to this file; manifest.json describes them.
 *
 * Patches, in order:
 *   0001-fix.patch: x: fix a leak (CVE-2026-12345)
 *   0002-fix.patch
 */

#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/livepatch.h>

/* Replacements in vmlinux */
extern void new_show(void) __asm__("new_show");

/* Replacements in ext4 */
extern void new_ext4_go(void) __asm__("new_ext4");
extern void new_ext4_stop_isra_0(void) __asm__("new_ext4_b");
extern int pre_patch_ext4(struct klp_object *obj) __asm__("ext4_pre");

static struct klp_func funcs_vmlinux[] = {
	/*
	 * show of fs/proc/show.o
	 * - its code changed
	 */
	{
		.old_name = "show",
		.new_func = new_show,
		.old_sympos = 3,
	},
	{ }
};

static struct klp_func funcs_ext4[] = {
	/*
	 * ext4_go of fs/ext4/go.o
	 * - its code changed
	 */
	{
		.old_name = "ext4_go",
		.new_func = new_ext4_go,
	},
	/*
	 * ext4_stop.isra.0 of fs/ext4/go.o
	 * - a function inlined into it changed: ext4_help
	 * - comment * / in a reason
	 */
	{
		.old_name = "ext4_stop.isra.0",
		.new_func = new_ext4_stop_isra_0,
		.old_sympos = 2,
	},
	{ }
};

/* Nothing in jbd2 is replaced; replacements elsewhere refer to its symbols. */
static struct klp_func funcs_jbd2[] = {
	{ }
};

static struct klp_object objs[] = {
	{
		/* no name: the kernel image itself */
		.funcs = funcs_vmlinux,
	},
	{
		.name = "ext4",
		.funcs = funcs_ext4,
		.callbacks = {
			.pre_patch = pre_patch_ext4,
		},
	},
	{
		.name = "jbd2",
		.funcs = funcs_jbd2,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init livepatch_init(void)
{
	int ret;

	ret = klp_register_patch(&patch);
	if (ret)
		return ret;

	ret = klp_enable_patch(&patch);
	if (ret)
		WARN_ON(klp_unregister_patch(&patch));

	return ret;
}

/* The kernel lets the module go only after the patch is disabled. */
static void __exit livepatch_exit(void)
{
	WARN_ON(klp_unregister_patch(&patch));
}

module_init(livepatch_init);
module_exit(livepatch_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("A \"test\"");
MODULE_VERSION("1.0");
MODULE_INFO(klpforge_name, "test-series");
MODULE_INFO(klpforge_vendor, "Example & Co");
MODULE_INFO(klpforge_replace, "N");
MODULE_INFO(klpforge_generation, "4.16");
