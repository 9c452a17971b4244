// want: KLP401 note frame_ok
// want: KLP402 note frame_ok
// cflags: -g
// cflags: -mno-sse
struct frame { unsigned len; unsigned room; int lock; }; extern int send(struct frame *);
int frame_ok(struct frame *f, unsigned n)
{
	if (n > 9000)
		return -90;
	f->len = n;
	return send(f);
}
