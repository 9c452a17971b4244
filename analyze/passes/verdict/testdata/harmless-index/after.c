// want: KLP401 given gpio_dir
// want: KLP402 given gpio_dir
// cflags: -g
// cflags: -mno-sse
struct chip { int base, ngpio; void (*set)(int); int lock; unsigned char dir[64]; }; extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
int gpio_dir(struct chip *c, int off, int out)
{
	if (out > 1)
		return -22;
	if (off < 0 || off >= c->ngpio)
		return -22;
	_raw_spin_lock(&c->lock);
	c->dir[off] = out;
	_raw_spin_unlock(&c->lock);
	return 0;
}
