/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * System calls that a livepatch can replace.
 *
 * The body of a SYSCALL_DEFINEn() is an inline function, and what is inline
 * has no ftrace entry. Here the body is an ordinary function, new to the
 * kernel, and the kernel's own macro makes the functions around it, which call
 * it. These have ftrace entries; the inline one vanishes into them. They stay on
 * the stack while the body runs, so that the kernel sees it there before the
 * livepatch goes: barrier() keeps their call from becoming a jump (KLP216).
 */
#ifndef KLPFORGE_SYSCALL_H
#define KLPFORGE_SYSCALL_H

#ifndef __GENKSYMS__

#include <linux/syscalls.h>
#include <linux/version.h>

/* What the kernel calls the inline function. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(4, 17, 0)
#define KLPFORGE_SYSCALL_INLINE(name) __do_sys##name
#else
#define KLPFORGE_SYSCALL_INLINE(name) SYSC##name
#endif

#define KLPFORGE_SYSCALL_DEFINEx(x, name, ...)					\
	static long klpforge_sys##name(__MAP(x, __SC_DECL, __VA_ARGS__));	\
	static __always_inline							\
	long KLPFORGE_SYSCALL_INLINE(name)(__MAP(x, __SC_DECL, __VA_ARGS__));	\
	SYSCALL_DEFINEx(x, name, __VA_ARGS__)					\
	{									\
		long ret = klpforge_sys##name(__MAP(x, __SC_ARGS, __VA_ARGS__)); \
										\
		barrier();							\
		return ret;							\
	}									\
	static long klpforge_sys##name(__MAP(x, __SC_DECL, __VA_ARGS__))

#else

#define KLPFORGE_SYSCALL_DEFINEx(x, name, ...) SYSCALL_DEFINEx(x, name, __VA_ARGS__)

#endif /* __GENKSYMS__ */

#endif /* KLPFORGE_SYSCALL_H */
