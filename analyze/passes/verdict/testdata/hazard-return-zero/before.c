struct table { unsigned n; unsigned short slot[64]; };
int table_index(struct table *t, unsigned key)
{
	if (key >= t->n)
		return -2;
	return t->slot[key & 63] + 1;
}
