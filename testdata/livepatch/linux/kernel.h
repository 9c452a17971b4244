/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Just enough of the kernel's declarations to compile what Emit writes. Written
 * for these tests; sizes and layouts follow the kernel only where they matter.
 */
#ifndef TEST_LINUX_KERNEL_H
#define TEST_LINUX_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

#define WARN_ON(cond) ((void)(cond))

struct list_head {
	struct list_head *next, *prev;
};

struct kobject {
	const char *name;
	struct list_head entry;
	void *rest[5];
};

#endif
