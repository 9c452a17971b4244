extern int _dev_err(const void *, const char *, ...); struct port { int state, tries; void *dev; }; extern int hw_reset(struct port *);
int port_reset(struct port *p)
{
	int err = hw_reset(p);
	if (err)
		return err;
	p->state = 1;
	p->tries = 0;
	return 0;
}
