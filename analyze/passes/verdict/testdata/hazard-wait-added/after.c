// want: KLP401 note dma_start
// want: KLP402 note dma_start
// cflags: -g
// cflags: -mno-sse
struct ch { volatile int busy; int cmd; int lock; };
int dma_start(struct ch *c, int cmd)
{
	if (cmd > 8)
		return -22;
	while (c->busy)
		asm volatile("rep; nop" ::: "memory");
	c->cmd = cmd;
	return 0;
}
