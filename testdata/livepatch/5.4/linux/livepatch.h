/* SPDX-License-Identifier: Apache-2.0 */
/* The livepatch interface since Linux 5.4: facts only, written for these tests. */
#ifndef TEST_LINUX_LIVEPATCH_H
#define TEST_LINUX_LIVEPATCH_H

#include <linux/module.h>

struct klp_func {
	const char *old_name;
	void *new_func;
	unsigned long old_sympos;

	void *old_func;
	struct kobject kobj;
	struct list_head node;
	struct list_head stack_node;
	unsigned long old_size, new_size;
	bool nop;
	bool patched;
	bool transition;
};

struct klp_object;

struct klp_callbacks {
	int (*pre_patch)(struct klp_object *obj);
	void (*post_patch)(struct klp_object *obj);
	void (*pre_unpatch)(struct klp_object *obj);
	void (*post_unpatch)(struct klp_object *obj);
	bool post_unpatch_enabled;
};

struct klp_object {
	const char *name;
	struct klp_func *funcs;
	struct klp_callbacks callbacks;

	struct kobject kobj;
	struct list_head func_list;
	struct list_head node;
	struct module *mod;
	bool dynamic;
	bool patched;
};

struct klp_patch {
	struct module *mod;
	struct klp_object *objs;
	bool replace;

	struct list_head list;
	struct kobject kobj;
	struct list_head obj_list;
	bool enabled;
};

int klp_enable_patch(struct klp_patch *patch);

#endif
