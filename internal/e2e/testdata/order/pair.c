// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Takes two locks; the patch turns their order round. */
#include <linux/mutex.h>
#include "pair.h"

static DEFINE_MUTEX(left);
static DEFINE_MUTEX(right);
static unsigned long updates;

noinline void pair_update(void)
{
	mutex_lock(&left);
	pair_wait();
	mutex_lock(&right);
	updates++;
	mutex_unlock(&right);
	mutex_unlock(&left);
}
