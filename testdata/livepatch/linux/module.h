/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_LINUX_MODULE_H
#define TEST_LINUX_MODULE_H

#include <linux/kernel.h>

struct module {
	char name[56];
	int (*init)(void);
	void (*exit)(void);
};

extern struct module __this_module;
#define THIS_MODULE (&__this_module)

#define __init __attribute__((section(".init.text")))
#define __exit __attribute__((section(".exit.text"), used))

#define TEST_PASTE2(a, b) a##b
#define TEST_PASTE(a, b) TEST_PASTE2(a, b)
#define TEST_STR2(x...) #x
#define TEST_STR(x...) TEST_STR2(x)

#define MODULE_INFO(tag, info) \
	static const char TEST_PASTE(modinfo_, __COUNTER__)[] \
	__attribute__((section(".modinfo"), used, aligned(1))) = #tag "=" info
#define MODULE_LICENSE(x) MODULE_INFO(license, x)
#define MODULE_DESCRIPTION(x) MODULE_INFO(description, x)
#define MODULE_VERSION(x) MODULE_INFO(version, x)
#if TEST_IMPORT_NS == 2
#define MODULE_IMPORT_NS(ns) MODULE_INFO(import_ns, ns)
#elif TEST_IMPORT_NS == 1
#define MODULE_IMPORT_NS(ns) MODULE_INFO(import_ns, TEST_STR(ns))
#endif

#define module_init(f) int init_module(void) __attribute__((alias(#f)))
#define module_exit(f) void cleanup_module(void) __attribute__((alias(#f)))

#endif
