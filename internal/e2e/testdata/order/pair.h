/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef KLPFORGE_ORDER_PAIR_H
#define KLPFORGE_ORDER_PAIR_H

void pair_wait(void);
void pair_update(void);

#endif
