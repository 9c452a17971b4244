// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Threads that add to a counter under foo_lock(), one step at a time, and sleep
 * between the two halves of each step. /sys/kernel/debug is not needed: what
 * happened is in module parameters.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include "foo.h"

#define MAX_THREADS 8

static unsigned int nr_threads = 2;
module_param(nr_threads, uint, 0444);
MODULE_PARM_DESC(nr_threads, "threads, at most 8");

static unsigned long steps;
module_param(steps, ulong, 0444);
MODULE_PARM_DESC(steps, "steps that all threads have made");

static unsigned long torn;
module_param(torn, ulong, 0444);
MODULE_PARM_DESC(torn, "steps that another thread was seen to interrupt");

static unsigned int pause_us = 100;
module_param(pause_us, uint, 0444);
MODULE_PARM_DESC(pause_us, "how long a thread sleeps between steps, in microseconds");

static unsigned long total;
static struct task_struct *threads[MAX_THREADS];

/* Without an ftrace entry, as an inline function that the compiler kept. */
static noinline notrace void foo_count(void)
{
	steps++;
}

noinline void foo_add(unsigned long n)
{
	unsigned long before;

	foo_lock();
	before = READ_ONCE(total);
	usleep_range(2000, 4000);
	if (READ_ONCE(total) != before)
		torn++;
	WRITE_ONCE(total, before + n);
	foo_count();
	foo_unlock();
}

static int foo_thread(void *arg)
{
	while (!kthread_should_stop()) {
		foo_add(1);
		usleep_range(pause_us, 2 * pause_us);
	}
	return 0;
}

static int __init foo_init(void)
{
	int i;

	if (nr_threads > MAX_THREADS)
		return -EINVAL;
	for (i = 0; i < nr_threads; i++) {
		threads[i] = kthread_run(foo_thread, NULL, "foo/%d", i);
		if (IS_ERR(threads[i]))
			goto stop;
	}
	return 0;
stop:
	while (i--)
		kthread_stop(threads[i]);
	return -ENOMEM;
}

static void __exit foo_exit(void)
{
	int i;

	for (i = 0; i < nr_threads; i++)
		kthread_stop(threads[i]);
}

module_init(foo_init);
module_exit(foo_exit);
MODULE_DESCRIPTION("a lock whose holder is not on the stack of the functions that take it");
MODULE_LICENSE("GPL");
