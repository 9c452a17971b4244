struct rx { int room; int used; }; extern int rx_take(struct rx *, int);
int rx_len(struct rx *r, int n)
{
	if (n > 2048)
		return -90;
	r->used = n;
	return rx_take(r, n);
}
