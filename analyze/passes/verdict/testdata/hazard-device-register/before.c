typedef unsigned int u32; struct eth { void *regs; int budget; int done; };
static inline u32 readl(const volatile void *a) { return *(const volatile u32 *)a; }
int eth_poll(struct eth *e, int n)
{
	if (n > e->budget)
		return -22;
	e->done = n;
	return 0;
}
