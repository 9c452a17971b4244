// want: KLP209 warning add
// text: in the other direction
struct item { struct item *next; unsigned key, when, flags; unsigned long hash; }; struct table { struct item *slot[64]; struct item *list; unsigned mask, n; };
extern struct table table; extern unsigned long jiffies; extern void note(struct item *);
#define smp_store_release(p, v) (*(volatile typeof(*(p)) *)(p) = (v))

void add(struct item *i) { struct item **p = &table.list;
	while (*p && (*p)->key > i->key)
		p = &(*p)->next;
	i->next = *p; *p = i; }
