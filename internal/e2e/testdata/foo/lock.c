// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * foo_lock() and foo_unlock() are off the stack while their caller is inside
 * the critical section: the consistency model does not see that the two belong
 * together.
 */
#include <linux/mutex.h>
#include "foo.h"

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);

/* Uses the second lock too, so that a patch needs no new data. */
noinline void foo_reset(void)
{
	mutex_lock(&second);
	mutex_unlock(&second);
}

noinline void foo_lock(void)
{
	mutex_lock(&first);
}

noinline void foo_unlock(void)
{
	mutex_unlock(&first);
}
