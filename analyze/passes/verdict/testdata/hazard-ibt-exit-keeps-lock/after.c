// want: KLP401 note port_set
// want: KLP402 note port_set
// cflags: -fcf-protection=branch
// cflags: -g
// cflags: -mno-sse
struct port { int lock; int mode; int max; }; extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
int port_set(struct port *p, int mode)
{
	int err = 0;
	_raw_spin_lock(&p->lock);
	if (mode < 0) {
		err = -22;
		goto out;
	}
	if (mode > p->max)
		return -22;
	p->mode = mode;
out:
	_raw_spin_unlock(&p->lock);
	return err;
}
