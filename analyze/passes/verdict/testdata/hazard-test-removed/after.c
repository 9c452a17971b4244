// want: KLP401 note seg_write
// want: KLP402 note seg_write
// cflags: -g
// cflags: -mno-sse
struct seg { unsigned long start, len; int ro; };
int seg_write(struct seg *s, unsigned long at, char v)
{
	if (at >= s->len)
		return -14;
	*(char *)(s->start + at) = v;
	return 0;
}
