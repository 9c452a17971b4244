/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Stands for the kernel header of this name in fixtures. */
#include <linux/types.h>
struct klp_object;
void *klp_shadow_get(void *obj, unsigned long id);
void *klp_shadow_alloc(void *obj, unsigned long id, size_t size, unsigned int flags, void *ctor, void *data);
void klp_shadow_free(void *obj, unsigned long id, void *dtor);
