/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Stands for the kernel header of this name in fixtures. */
/* Two wrappers around an inline body, as on x86-64 with 32-bit programs. */
#include <linux/compiler.h>
#define __MAP(x, m, ...) FIXTURE_MAP##x(m, __VA_ARGS__)
#define FIXTURE_MAP2(m, t, a, ...) m(t, a), FIXTURE_MAP1(m, __VA_ARGS__)
#define FIXTURE_MAP1(m, t, a) m(t, a)
#define __SC_DECL(t, a) t a
#define __SC_ARGS(t, a) a
#define FIXTURE_REGS1 regs[0]
#define FIXTURE_REGS2 regs[0], regs[1]
#define SYSCALL_DEFINEx(x, name, ...)						\
	static inline notrace long __do_sys##name(__MAP(x, __SC_DECL, __VA_ARGS__));	\
	long __x64_sys##name(const unsigned long *regs);			\
	long __x64_sys##name(const unsigned long *regs) { return __do_sys##name(FIXTURE_REGS##x); }	\
	long __ia32_sys##name(const unsigned long *regs);			\
	long __ia32_sys##name(const unsigned long *regs) { regs++; return __do_sys##name(FIXTURE_REGS##x); }	\
	static inline notrace long __do_sys##name(__MAP(x, __SC_DECL, __VA_ARGS__))
#define SYSCALL_DEFINE0(name) long __x64_sys_##name(const unsigned long *regs)
#define SYSCALL_DEFINE2(name, ...) SYSCALL_DEFINEx(2, _##name, __VA_ARGS__)
