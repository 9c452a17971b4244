struct item { struct item *next; unsigned key, when, flags; unsigned long hash; }; struct table { struct item *slot[64]; struct item *list; unsigned mask, n; };
extern struct table table; extern unsigned long jiffies; extern void note(struct item *);
#define smp_store_release(p, v) (*(volatile typeof(*(p)) *)(p) = (v))

int add(struct item *i) {
	unsigned h = i->key * 0x61c88647u;
	h >>= 26;
	i->next = table.slot[h]; table.slot[h] = i; return 0; }
struct item *find(unsigned h) { return table.slot[h]; }
