/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Stands for the kernel header of this name in fixtures. */
#include <stddef.h>
