typedef unsigned long long u64;
struct extent { u64 lblk, pblk; unsigned len; u64 key; struct extent *next; };
struct tree { struct extent *head; unsigned n; };
int extent_key(struct tree *t, struct extent *e)
{
	struct extent **p = &t->head;
	if (!e->len)
		return -22;
	e->key = e->lblk;
	while (*p && (*p)->key < e->key)
		p = &(*p)->next;
	e->next = *p;
	*p = e;
	t->n++;
	return 0;
}
