// want: KLP401 note table_index
// want: KLP402 note table_index
// cflags: -g
// cflags: -mno-sse
struct table { unsigned n; unsigned short slot[64]; };
int table_index(struct table *t, unsigned key)
{
	if (key >= t->n)
		return -2;
	if (!t->slot[key & 63])
		return 0;
	return t->slot[key & 63] + 1;
}
