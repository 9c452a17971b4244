/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_LINUX_RCUPDATE_H
#define TEST_LINUX_RCUPDATE_H

void rcu_barrier(void);

#endif
