// SPDX-License-Identifier: GPL-2.0 OR MIT
/* A thread that takes from a stock for ever. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include "refill.h"

static unsigned long taken;
module_param(taken, ulong, 0444);
MODULE_PARM_DESC(taken, "how often the thread has taken something");

static struct stock stock;
static struct task_struct *thread;

static int take_thread(void *arg)
{
	while (!kthread_should_stop()) {
		stock_take(&stock);
		taken++;
		msleep(10);
	}
	return 0;
}

static int __init atomic_init(void)
{
	spin_lock_init(&stock.lock);
	thread = kthread_run(take_thread, NULL, "take");
	return PTR_ERR_OR_ZERO(thread);
}

static void __exit atomic_exit(void)
{
	kthread_stop(thread);
}

module_init(atomic_init);
module_exit(atomic_exit);
MODULE_DESCRIPTION("a function that a livepatch makes sleep under a spinlock");
MODULE_LICENSE("GPL");
