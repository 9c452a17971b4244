// want: KLP401 given rx_len
// want: KLP402 given rx_len
// cflags: -g
// cflags: -mno-sse
struct rx { int room; int used; }; extern int rx_take(struct rx *, int);
int rx_len(struct rx *r, int n)
{
	if ((unsigned)n > 2048)
		return -90;
	r->used = n;
	return rx_take(r, n);
}
