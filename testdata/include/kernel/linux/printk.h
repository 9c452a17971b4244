/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Stands for the kernel header of this name in fixtures. */
int _printk(const char *fmt, ...) __attribute__((__cold__));
#define printk(...) _printk(__VA_ARGS__)
