// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What kbuild leaves of a livepatch module, as far as its reader looks. */
extern int klp__original(int x);

#define INFO(n, s) static const char info##n[] __attribute__((used, section(".modinfo"), aligned(1))) = s
INFO(1, "license=GPL");
INFO(2, "livepatch=Y");
INFO(3, "version=7");
INFO(4, "klpforge_vendor=Example & Co");
INFO(5, "klpforge_replace=Y");
INFO(6, "name=livepatch_fix");

char this_module[64] __attribute__((section(".gnu.linkonce.this_module")));

int replacement(int x)
{
	return klp__original(x) + 1;
}
