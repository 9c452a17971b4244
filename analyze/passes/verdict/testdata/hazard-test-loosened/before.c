struct frame { unsigned len; unsigned room; int lock; }; extern int send(struct frame *);
int frame_ok(struct frame *f, unsigned n)
{
	if (n > 1500)
		return -90;
	f->len = n;
	return send(f);
}
