/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Where kpatch's shadow variables were declared. */
#include "kpatch-macros.h"
