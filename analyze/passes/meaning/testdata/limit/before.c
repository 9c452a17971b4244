struct item { struct item *next; unsigned key, when, flags; unsigned long hash; }; struct table { struct item *slot[64]; struct item *list; unsigned mask, n; };
extern struct table table; extern unsigned long jiffies; extern void note(struct item *);
#define smp_store_release(p, v) (*(volatile typeof(*(p)) *)(p) = (v))

#define LIMIT 8
int add(struct item *i) { if (table.n >= LIMIT) return -1; table.n++; note(i); i->when = LIMIT; return 0; }
