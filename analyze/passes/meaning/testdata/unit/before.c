struct item { struct item *next; unsigned key, when, flags; unsigned long hash; }; struct table { struct item *slot[64]; struct item *list; unsigned mask, n; };
extern struct table table; extern unsigned long jiffies; extern void note(struct item *);
#define smp_store_release(p, v) (*(volatile typeof(*(p)) *)(p) = (v))

void touch(struct item *i) {
	i->when = jiffies;
	note(i); }
int expired(struct item *i) { return (unsigned)jiffies - i->when > 1000; }
