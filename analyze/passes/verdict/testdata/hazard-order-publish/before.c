struct map { unsigned n; unsigned mask; }; struct holder { struct map *map; };
int map_publish(struct holder *h, struct map *m, unsigned n)
{
	if (!n)
		return -22;
	m->n = n;
	m->mask = n - 1;
	__atomic_store_n(&h->map, m, __ATOMIC_RELEASE);
	return 0;
}
