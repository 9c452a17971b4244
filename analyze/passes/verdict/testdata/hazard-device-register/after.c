// want: KLP401 note eth_poll
// want: KLP402 note eth_poll
// cflags: -g
// cflags: -mno-sse
// text: may read a register of a device
typedef unsigned int u32; struct eth { void *regs; int budget; int done; };
static inline u32 readl(const volatile void *a) { return *(const volatile u32 *)a; }
int eth_poll(struct eth *e, int n)
{
	if (n > e->budget)
		return -22;
	if (readl(e->regs + 0x40) & 1) /* the status is cleared by reading it */
		return -22;
	e->done = n;
	return 0;
}
