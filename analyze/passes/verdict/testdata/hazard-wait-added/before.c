struct ch { volatile int busy; int cmd; int lock; };
int dma_start(struct ch *c, int cmd)
{
	if (cmd > 8)
		return -22;
	c->cmd = cmd;
	return 0;
}
