// want: KLP401 given port_reset
// want: KLP402 given port_reset
// cflags: -g
// cflags: -mno-sse
extern int _dev_err(const void *, const char *, ...); struct port { int state, tries; void *dev; }; extern int hw_reset(struct port *);
int port_reset(struct port *p)
{
	int err = hw_reset(p);
	if (err) {
		_dev_err(p->dev, "reset failed: %d\n", err);
		return err;
	}
	p->state = 1;
	p->tries = 0;
	return 0;
}
