// want: KLP401 note irq_ack
// want: KLP402 note irq_ack
// cflags: -g
// cflags: -mno-sse
struct regs { unsigned status, mask; };
int irq_ack(volatile struct regs *r, unsigned bits)
{
	if (!bits)
		return -22;
	r->status = bits;
	r->mask = bits;
	(void)r->status;
	return 0;
}
