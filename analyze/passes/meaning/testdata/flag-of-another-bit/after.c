// want: KLP209 warning mark
// want: KLP209 warning old
// text: 0x2 before, 0x4 after
struct item { struct item *next; unsigned key, when, flags; unsigned long hash; }; struct table { struct item *slot[64]; struct item *list; unsigned mask, n; };
extern struct table table; extern unsigned long jiffies; extern void note(struct item *);
#define smp_store_release(p, v) (*(volatile typeof(*(p)) *)(p) = (v))

#define ITEM_OLD 0x4
void mark(struct item *i) { i->flags |= ITEM_OLD; note(i); }
int old(struct item *i) { return i->flags & ITEM_OLD; }
int any(struct item *i) { return i->flags; }
