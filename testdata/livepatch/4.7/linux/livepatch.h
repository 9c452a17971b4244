/* SPDX-License-Identifier: Apache-2.0 */
/* The livepatch interface since Linux 4.7: facts only, written for these tests. */
#ifndef TEST_LINUX_LIVEPATCH_H
#define TEST_LINUX_LIVEPATCH_H

#include <linux/module.h>

enum klp_state { KLP_DISABLED, KLP_ENABLED };

struct klp_func {
	const char *old_name;
	void *new_func;
	unsigned long old_sympos;

	unsigned long old_addr;
	struct kobject kobj;
	enum klp_state state;
	struct list_head stack_node;
};

struct klp_object {
	const char *name;
	struct klp_func *funcs;

	struct kobject *kobj;
	struct module *mod;
	enum klp_state state;
};

struct klp_patch {
	struct module *mod;
	struct klp_object *objs;

	struct list_head list;
	struct kobject kobj;
	enum klp_state state;
};

int klp_register_patch(struct klp_patch *patch);
int klp_unregister_patch(struct klp_patch *patch);
int klp_enable_patch(struct klp_patch *patch);
int klp_disable_patch(struct klp_patch *patch);

#endif
