/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef KLPFORGE_FOO_H
#define KLPFORGE_FOO_H

void foo_lock(void);
void foo_unlock(void);
void foo_add(unsigned long n);

#endif
