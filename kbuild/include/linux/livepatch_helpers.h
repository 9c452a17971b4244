/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The names of mainline's header for source patches (since 6.19), on kernels
 * that lack it. See docs/kpatch.md.
 */
#ifndef KLPFORGE_LIVEPATCH_HELPERS_H
#define KLPFORGE_LIVEPATCH_HELPERS_H

#include "klpforge-marks.h"
#include "klpforge-syscall.h"

#ifndef __GENKSYMS__
#include <linux/livepatch.h>
#include <linux/syscalls.h>
#endif

#define KLP_PRE_PATCH_CALLBACK(fn) KLPFORGE_CALLBACK(pre_patch, int, fn)
#define KLP_POST_PATCH_CALLBACK(fn) KLPFORGE_CALLBACK(post_patch, void, fn)
#define KLP_PRE_UNPATCH_CALLBACK(fn) KLPFORGE_CALLBACK(pre_unpatch, void, fn)
#define KLP_POST_UNPATCH_CALLBACK(fn) KLPFORGE_CALLBACK(post_unpatch, void, fn)

#ifndef __GENKSYMS__
#define KLP_STATIC_CALL(name)							\
	((typeof(&STATIC_CALL_TRAMP(name)))READ_ONCE(STATIC_CALL_KEY(name).func))
#endif

#define KLP_SYSCALL_DEFINE0(name) SYSCALL_DEFINE0(name)
#define KLP_SYSCALL_DEFINE1(name, ...) KLPFORGE_SYSCALL_DEFINEx(1, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE2(name, ...) KLPFORGE_SYSCALL_DEFINEx(2, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE3(name, ...) KLPFORGE_SYSCALL_DEFINEx(3, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE4(name, ...) KLPFORGE_SYSCALL_DEFINEx(4, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE5(name, ...) KLPFORGE_SYSCALL_DEFINEx(5, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE6(name, ...) KLPFORGE_SYSCALL_DEFINEx(6, _##name, __VA_ARGS__)

#endif /* KLPFORGE_LIVEPATCH_HELPERS_H */
