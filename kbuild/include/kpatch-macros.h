/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The names that source patches for kpatch-build use, as klpforge understands
 * them. See docs/kpatch.md.
 */
#ifndef KLPFORGE_KPATCH_MACROS_H
#define KLPFORGE_KPATCH_MACROS_H

#include "klpforge-marks.h"

#ifndef __GENKSYMS__
#include <linux/jiffies.h>
#include <linux/livepatch.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/types.h>
#include <linux/version.h>
#endif

/* Argument of a callback. */
typedef struct klp_object patch_object;

/*
 * Callbacks of the object that the source file is built into. pre_patch gives
 * an int, and another value than 0 refuses the livepatch; the others give
 * nothing.
 */
#define KPATCH_PRE_PATCH_CALLBACK(fn) KLPFORGE_CALLBACK(pre_patch, int, fn)
#define KPATCH_POST_PATCH_CALLBACK(fn) KLPFORGE_CALLBACK(post_patch, void, fn)
#define KPATCH_PRE_UNPATCH_CALLBACK(fn) KLPFORGE_CALLBACK(pre_unpatch, void, fn)
#define KPATCH_POST_UNPATCH_CALLBACK(fn) KLPFORGE_CALLBACK(post_unpatch, void, fn)

/* Hooks of kpatch before 0.5, which had no object and no order. */
#define KPATCH_LOAD_HOOK(fn)							\
	_Static_assert(0, "KPATCH_LOAD_HOOK is gone: use KPATCH_PRE_PATCH_CALLBACK or KPATCH_POST_PATCH_CALLBACK")
#define KPATCH_UNLOAD_HOOK(fn)							\
	_Static_assert(0, "KPATCH_UNLOAD_HOOK is gone: use KPATCH_PRE_UNPATCH_CALLBACK or KPATCH_POST_UNPATCH_CALLBACK")

/* Changes of a function, or in a section, that shall have no effect. */
#define KPATCH_IGNORE_FUNCTION(fn) KLPFORGE_FUNCTION_MARK(ignore_function, fn)
#define KPATCH_IGNORE_SECTION(name) KLPFORGE_SECTION_MARK(__LINE__, name)

/* The function may switch while it is on a stack: klp_func.immediate, where the kernel has it. */
#define KPATCH_FORCE_UNSAFE(fn) KLPFORGE_FUNCTION_MARK(force, fn)

#ifndef __GENKSYMS__

/*
 * printk() is declared cold, and a call to it moves the code around. These
 * call the same function by a declaration that is not. Where printk is a macro
 * (5.15), the function has another name.
 */
#if defined(CONFIG_PRINTK) && defined(printk)
extern __attribute__((__format__(__printf__, 1, 2))) int klpforge_printk(const char *fmt, ...) __asm__("_printk");
extern __attribute__((__format__(__printf__, 1, 2))) int klpforge_printk_deferred(const char *fmt, ...) __asm__("_printk_deferred");
#elif defined(CONFIG_PRINTK)
extern __attribute__((__format__(__printf__, 1, 2))) int klpforge_printk(const char *fmt, ...) __asm__("printk");
extern __attribute__((__format__(__printf__, 1, 2))) int klpforge_printk_deferred(const char *fmt, ...) __asm__("printk_deferred");
#else
#define klpforge_printk(...) no_printk(__VA_ARGS__)
#define klpforge_printk_deferred(...) no_printk(__VA_ARGS__)
#endif
#define KPATCH_PRINTK(...) ({ klpforge_printk(__VA_ARGS__); })
#define KPATCH_PRINTK_DEFERRED(...) ({ klpforge_printk_deferred(__VA_ARGS__); })

/* A static call as a call by its key, which may lie in a module. */
#define KPATCH_STATIC_CALL(name)						\
	((typeof(&STATIC_CALL_TRAMP(name)))READ_ONCE(STATIC_CALL_KEY(name).func))

/*
 * Shadow variables by name. The kernel knows them by number: the number is the
 * name's FNV-1a hash, so that all files of a patch agree.
 */
#if BITS_PER_LONG == 64
#define KLPFORGE_FNV_BASIS 0xcbf29ce484222325ul
#define KLPFORGE_FNV_PRIME 0x100000001b3ul
#else
#define KLPFORGE_FNV_BASIS 0x811c9dc5ul
#define KLPFORGE_FNV_PRIME 0x01000193ul
#endif

static __always_inline unsigned long klpforge_shadow_id(const char *name)
{
	unsigned long id = KLPFORGE_FNV_BASIS;

	for (; *name; name++)
		id = (id ^ (unsigned char)*name) * KLPFORGE_FNV_PRIME;
	return id;
}

#define kpatch_shadow_get(obj, name) klp_shadow_get(obj, klpforge_shadow_id(name))
#if LINUX_VERSION_CODE >= KERNEL_VERSION(4, 18, 0)
#define kpatch_shadow_alloc(obj, name, size, gfp)				\
	klp_shadow_alloc(obj, klpforge_shadow_id(name), size, gfp, NULL, NULL)
#define kpatch_shadow_free(obj, name) klp_shadow_free(obj, klpforge_shadow_id(name), NULL)
#else
#define kpatch_shadow_alloc(obj, name, size, gfp)				\
	klp_shadow_alloc(obj, klpforge_shadow_id(name), NULL, size, gfp)
#define kpatch_shadow_free(obj, name) klp_shadow_free(obj, klpforge_shadow_id(name))
#endif

#endif /* __GENKSYMS__ */

#endif /* KLPFORGE_KPATCH_MACROS_H */
