// want: KLP401 note quota_take
// want: KLP402 note quota_take
// cflags: -g
// cflags: -mno-sse
struct quota { int used, limit; };
int quota_take(struct quota *q, int n)
{
	if (n > 64)
		return -22;
	q->used += n;
	return 0;
}
