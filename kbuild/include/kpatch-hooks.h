/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#error "kpatch-hooks.h and its load and unload hooks are gone: include kpatch-macros.h and use KPATCH_PRE_PATCH_CALLBACK and its like"
