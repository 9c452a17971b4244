/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * How a source patch speaks to klpforge: each macro leaves a mark in a section
 * of the compiled object that no linker keeps. klpforge reads the marks and
 * leaves them out of the module.
 */
#ifndef KLPFORGE_MARKS_H
#define KLPFORGE_MARKS_H

struct klp_object;

/*
 * genksyms sees nothing but the patched source itself: what is included here
 * must not change the versions of exported symbols.
 */
#ifdef __GENKSYMS__

#define KLPFORGE_CALLBACK(kind, result, fn)
#define KLPFORGE_FUNCTION_MARK(kind, fn)
#define KLPFORGE_SECTION_MARK(line, name)

#else

#include <linux/compiler.h>

#define KLPFORGE_PASTE_(a, b) a##b
#define KLPFORGE_PASTE(a, b) KLPFORGE_PASTE_(a, b)

/* A pointer of the type that the kernel calls: another prototype does not compile. */
#define KLPFORGE_CALLBACK(kind, result, fn)					\
	static result (*klpforge_##kind##_##fn)(struct klp_object *)		\
	__attribute__((__used__, __section__(".discard.klpforge." #kind))) = fn

/* The function may have any type. */
#define KLPFORGE_FUNCTION_MARK(kind, fn)					\
	static void *klpforge_##kind##_##fn					\
	__attribute__((__used__, __section__(".discard.klpforge." #kind))) = (void *)fn

#define KLPFORGE_SECTION_MARK(line, name)					\
	static char KLPFORGE_PASTE(klpforge_ignore_section_, line)[]		\
	__attribute__((__used__, __section__(".discard.klpforge.ignore_section"))) = name

#endif /* __GENKSYMS__ */

#endif /* KLPFORGE_MARKS_H */
