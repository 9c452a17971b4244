// want: KLP401 note dev_open
// want: KLP402 note dev_open
// cflags: -g
// cflags: -mno-sse
struct d { int users; struct d *up; int err; }; extern int power_on(struct d *);
int dev_open(struct d *d)
{
	d->users++;
	if (power_on(d))
		return -5;
	if (!d->up)
		return 0;
	power_on(d);
	d->up->users++;
	return 0;
}
