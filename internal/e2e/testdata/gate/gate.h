/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef KLPFORGE_GATE_H
#define KLPFORGE_GATE_H

#include <linux/wait.h>

struct gate {
	wait_queue_head_t queue;
	unsigned int number; /* from 0 */
	unsigned int round;  /* the last that the gate's thread began */
	unsigned int open;   /* the last that may pass */
	unsigned int passed;
};

int gate_enter(struct gate *g);

#endif
