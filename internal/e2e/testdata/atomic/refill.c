// SPDX-License-Identifier: GPL-2.0 OR MIT
/* stock_refill() runs under a spinlock; the patch makes it wait. */
#include <linux/delay.h>
#include <linux/spinlock.h>
#include "refill.h"

static noinline void stock_refill(struct stock *s)
{
	s->level += 10;
}

noinline unsigned int stock_take(struct stock *s)
{
	unsigned int left;

	spin_lock(&s->lock);
	if (!s->level)
		stock_refill(s);
	left = --s->level;
	spin_unlock(&s->lock);
	return left;
}
