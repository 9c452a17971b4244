// want: KLP209 warning mark
// text: stores 0x10
// text: any
struct item { struct item *next; unsigned key, when, flags; unsigned long hash; }; struct table { struct item *slot[64]; struct item *list; unsigned mask, n; };
extern struct table table; extern unsigned long jiffies; extern void note(struct item *);
#define smp_store_release(p, v) (*(volatile typeof(*(p)) *)(p) = (v))

void mark(struct item *i) {
	i->flags |= 0x10;
	note(i); }
int any(struct item *i) { return i->flags & ~0x3; }
