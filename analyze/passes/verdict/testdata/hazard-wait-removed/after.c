// want: KLP401 note dma_stop
// want: KLP402 note dma_stop
// cflags: -g
// cflags: -mno-sse
struct ch { volatile int busy; int cmd; int lock; };
int dma_stop(struct ch *c, int cmd)
{
	if (cmd > 8)
		return -22;
	c->cmd = 0;
	return 0;
}
