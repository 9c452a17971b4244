struct seg { unsigned long start, len; int ro; };
int seg_write(struct seg *s, unsigned long at, char v)
{
	if (at >= s->len)
		return -14;
	if (s->ro)
		return -1;
	*(char *)(s->start + at) = v;
	return 0;
}
