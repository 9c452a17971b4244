/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Stands for the kernel header of this name in fixtures. */
#ifndef FIXTURE_COMPILER_H
#define FIXTURE_COMPILER_H
#define notrace __attribute__((no_instrument_function))
#define __always_inline inline __attribute__((__always_inline__)) notrace
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define BITS_PER_LONG 64
#define CONFIG_PRINTK 1
#endif
