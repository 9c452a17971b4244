// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Two threads that call pair_update() once each, when told to by the parameter
 * start. Between the two locks they wait until the parameter hold is 0, so that
 * a test decides what meets what.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include "pair.h"

#define THREADS 2

static unsigned int start;
module_param(start, uint, 0644);
MODULE_PARM_DESC(start, "how many threads may go");

static unsigned int hold = 1;
module_param(hold, uint, 0644);
MODULE_PARM_DESC(hold, "threads wait between the locks while this is not 0");

static atomic_t inside = ATOMIC_INIT(0);
static struct task_struct *threads[THREADS];

static bool reached(const struct kernel_param *kp, int n);

/* Writing a number returns when that many threads hold a lock, or have gone over to new code. */
static int await_set(const char *val, const struct kernel_param *kp)
{
	int n, err, tries = 3000;

	err = kstrtoint(val, 0, &n);
	if (err)
		return err;
	while (!reached(kp, n)) {
		if (!--tries)
			return -ETIMEDOUT;
		msleep(20);
	}
	return 0;
}
static const struct kernel_param_ops await_ops = { .set = await_set };
module_param_cb(inside, &await_ops, &inside, 0200);
MODULE_PARM_DESC(inside, "waits until so many threads have come to hold one lock");
module_param_cb(moved, &await_ops, NULL, 0200);
MODULE_PARM_DESC(moved, "waits until so many threads run the code of a livepatch");

static bool reached(const struct kernel_param *kp, int n)
{
	int i, moved = 0;

	if (kp->arg == &inside)
		return atomic_read(&inside) >= n;
	for (i = 0; i < THREADS; i++)
		moved += READ_ONCE(threads[i]->patch_state) == KLP_PATCHED;
	return moved >= n;
}

noinline void pair_wait(void)
{
	atomic_inc(&inside);
	while (READ_ONCE(hold))
		msleep(20);
}

static int pair_thread(void *arg)
{
	unsigned long number = (unsigned long)arg;

	while (READ_ONCE(start) <= number && !kthread_should_stop())
		msleep(20);
	if (!kthread_should_stop())
		pair_update();
	while (!kthread_should_stop())
		msleep(20);
	return 0;
}

static int __init order_init(void)
{
	unsigned long i;

	for (i = 0; i < THREADS; i++) {
		threads[i] = kthread_run(pair_thread, (void *)i, "order/%lu", i);
		if (IS_ERR(threads[i]))
			goto stop;
	}
	return 0;
stop:
	while (i--)
		kthread_stop(threads[i]);
	return -ENOMEM;
}

static void __exit order_exit(void)
{
	int i;

	WRITE_ONCE(hold, 0);
	for (i = 0; i < THREADS; i++)
		kthread_stop(threads[i]);
}

module_init(order_init);
module_exit(order_exit);
MODULE_DESCRIPTION("two locks that a livepatch takes in another order");
MODULE_LICENSE("GPL");
