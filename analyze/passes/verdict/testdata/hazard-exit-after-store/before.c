struct ctl { unsigned a, b, seq; };
int ctl_apply(struct ctl *c, unsigned a, unsigned b)
{
	if (a > 100)
		return -22;
	c->a = a;
	c->b = b;
	c->seq++;
	return 0;
}
