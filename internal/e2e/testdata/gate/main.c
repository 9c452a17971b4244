// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Two threads, each of which enters its gate once in every round. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include "gate.h"

#define GATES 2

static unsigned int round;
module_param(round, uint, 0644);
MODULE_PARM_DESC(round, "the last round that the threads may begin");

static struct gate gates[GATES];
static struct task_struct *threads[GATES];

static int open_set(const char *val, const struct kernel_param *kp)
{
	struct gate *g = kp->arg;
	int err;

	err = kstrtouint(val, 0, &g->open);
	wake_up_all(&g->queue);
	return err;
}
static const struct kernel_param_ops open_ops = { .set = open_set };
module_param_cb(open0, &open_ops, &gates[0], 0200);
module_param_cb(open1, &open_ops, &gates[1], 0200);
MODULE_PARM_DESC(open0, "the last round that may pass the first gate");
MODULE_PARM_DESC(open1, "the last round that may pass the second gate");

/* Writing a number returns when that many threads wait at their gates. */
static int waiting_set(const char *val, const struct kernel_param *kp)
{
	int i, n, have, err, tries = 3000;

	err = kstrtoint(val, 0, &n);
	if (err)
		return err;
	do {
		for (have = i = 0; i < GATES; i++)
			have += wq_has_sleeper(&gates[i].queue);
		if (have == n)
			return 0;
		msleep(20);
	} while (--tries);
	return -ETIMEDOUT;
}
static const struct kernel_param_ops waiting_ops = { .set = waiting_set };
module_param_cb(waiting, &waiting_ops, NULL, 0200);
MODULE_PARM_DESC(waiting, "waits until so many threads wait");

static int gate_thread(void *arg)
{
	struct gate *g = arg;

	while (!kthread_should_stop()) {
		if (g->round < READ_ONCE(round)) {
			g->round++;
			pr_info("gate %u: %d passed\n", g->number, gate_enter(g));
		}
		msleep(20);
	}
	return 0;
}

static int __init gate_init(void)
{
	int i;

	for (i = 0; i < GATES; i++) {
		init_waitqueue_head(&gates[i].queue);
		gates[i].number = i;
		threads[i] = kthread_run(gate_thread, &gates[i], "gate/%d", i);
		if (IS_ERR(threads[i]))
			goto stop;
	}
	return 0;
stop:
	while (i--)
		kthread_stop(threads[i]);
	return -ENOMEM;
}

static void __exit gate_exit(void)
{
	int i;

	for (i = 0; i < GATES; i++)
		kthread_stop(threads[i]);
}

module_init(gate_init);
module_exit(gate_exit);
MODULE_DESCRIPTION("threads that a livepatch makes wait");
MODULE_LICENSE("GPL");
