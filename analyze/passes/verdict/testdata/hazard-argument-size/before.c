struct b { char data[64]; unsigned len; }; extern int copy_in(void *, const void *, unsigned long);
int buf_copy(struct b *b, const void *u, unsigned len)
{
	if (len > 64)
		return -22;
	if (copy_in(b->data, u, len))
		return -14;
	b->len = len;
	return 0;
}
