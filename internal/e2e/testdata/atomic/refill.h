/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef KLPFORGE_ATOMIC_REFILL_H
#define KLPFORGE_ATOMIC_REFILL_H

struct stock {
	spinlock_t lock;
	unsigned int level;
};

unsigned int stock_take(struct stock *s);

#endif
