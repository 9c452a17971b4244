struct regs { unsigned status, mask; };
int irq_ack(volatile struct regs *r, unsigned bits)
{
	if (!bits)
		return -22;
	r->status = bits;
	(void)r->status;
	r->mask = bits;
	return 0;
}
