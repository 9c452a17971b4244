// want: KLP401 note ctl_apply
// want: KLP402 note ctl_apply
// cflags: -g
// cflags: -mno-sse
struct ctl { unsigned a, b, seq; };
int ctl_apply(struct ctl *c, unsigned a, unsigned b)
{
	if (a > 100)
		return -22;
	c->a = a;
	if (b > 100)
		return -22;
	c->b = b;
	c->seq++;
	return 0;
}
