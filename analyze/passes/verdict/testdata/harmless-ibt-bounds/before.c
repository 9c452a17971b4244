struct chan { int id; unsigned rate, width; int lock; }; extern void mutex_lock(int *); extern void mutex_unlock(int *);
extern int hw_write(struct chan *, unsigned, unsigned);
int chan_config(struct chan *c, unsigned rate, unsigned width)
{
	int err;
	if (!rate)
		return -22;
	mutex_lock(&c->lock);
	err = hw_write(c, rate, width);
	if (!err) {
		c->rate = rate;
		c->width = width;
	}
	mutex_unlock(&c->lock);
	return err;
}
