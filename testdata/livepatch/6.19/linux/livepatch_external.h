/* SPDX-License-Identifier: Apache-2.0 */
/* The callbacks' declarations since Linux 6.19: facts only, written for these tests. */
#ifndef TEST_LINUX_LIVEPATCH_EXTERNAL_H
#define TEST_LINUX_LIVEPATCH_EXTERNAL_H

#include <stdbool.h>

struct klp_object;

struct klp_callbacks {
	int (*pre_patch)(struct klp_object *obj);
	void (*post_patch)(struct klp_object *obj);
	void (*pre_unpatch)(struct klp_object *obj);
	void (*post_unpatch)(struct klp_object *obj);
	bool post_unpatch_enabled;
};

#endif
