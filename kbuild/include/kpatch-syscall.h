/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The names of kpatch-build's syscall macros. See docs/kpatch.md. */
#ifndef KLPFORGE_KPATCH_SYSCALL_H
#define KLPFORGE_KPATCH_SYSCALL_H

#include "kpatch-macros.h"
#include "klpforge-syscall.h"

/* Without arguments there is no inline function. */
#define KPATCH_SYSCALL_DEFINE0(name) SYSCALL_DEFINE0(name)
#define KPATCH_SYSCALL_DEFINE1(name, ...) KLPFORGE_SYSCALL_DEFINEx(1, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE2(name, ...) KLPFORGE_SYSCALL_DEFINEx(2, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE3(name, ...) KLPFORGE_SYSCALL_DEFINEx(3, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE4(name, ...) KLPFORGE_SYSCALL_DEFINEx(4, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE5(name, ...) KLPFORGE_SYSCALL_DEFINEx(5, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE6(name, ...) KLPFORGE_SYSCALL_DEFINEx(6, _##name, __VA_ARGS__)

#endif /* KLPFORGE_KPATCH_SYSCALL_H */
