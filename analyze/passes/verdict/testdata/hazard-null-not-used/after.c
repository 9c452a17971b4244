// want: KLP401 note name_len
// want: KLP402 note name_len
// cflags: -g
// cflags: -mno-sse
struct n { const char *s; int len; int hash; };
int name_len(struct n *n, struct n *dir)
{
	if (n->len > 255)
		return -36;
	if (!dir)
		return 0;
	return n->len + n->hash;
}
