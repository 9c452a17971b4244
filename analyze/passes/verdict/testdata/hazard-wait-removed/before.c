struct ch { volatile int busy; int cmd; int lock; };
int dma_stop(struct ch *c, int cmd)
{
	if (cmd > 8)
		return -22;
	while (c->busy)
		asm volatile("rep; nop" ::: "memory");
	c->cmd = 0;
	return 0;
}
