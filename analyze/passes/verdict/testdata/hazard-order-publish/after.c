// want: KLP401 note map_publish
// want: KLP402 note map_publish
// cflags: -g
// cflags: -mno-sse
struct map { unsigned n; unsigned mask; }; struct holder { struct map *map; };
int map_publish(struct holder *h, struct map *m, unsigned n)
{
	if (!n)
		return -22;
	m->n = n;
	__atomic_store_n(&h->map, m, __ATOMIC_RELEASE);
	m->mask = n - 1;
	return 0;
}
