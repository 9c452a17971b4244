// SPDX-License-Identifier: GPL-2.0 OR MIT
/* A kernel thread that counts, and never leaves its main loop while it lives. */
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>

static unsigned int ticks;
module_param(ticks, uint, 0444);

static struct task_struct *ticker;

static noinline void tick(unsigned int by)
{
	WRITE_ONCE(ticks, ticks + by);
}

static int ticker_loop(void *unused)
{
	while (!kthread_should_stop()) {
		tick(1);
		set_current_state(TASK_INTERRUPTIBLE);
		if (!kthread_should_stop())
			schedule_timeout(HZ / 10);
		__set_current_state(TASK_RUNNING);
	}
	return 0;
}

static int __init ticker_init(void)
{
	ticker = kthread_run(ticker_loop, NULL, "klpticker");
	return PTR_ERR_OR_ZERO(ticker);
}

static void __exit ticker_exit(void)
{
	kthread_stop(ticker);
}

module_init(ticker_init);
module_exit(ticker_exit);
MODULE_LICENSE("GPL");
