// want: KLP209 warning mark
// text: stores ITEM_GONE
struct item { struct item *next; unsigned key, when, flags; unsigned long hash; }; struct table { struct item *slot[64]; struct item *list; unsigned mask, n; };
extern struct table table; extern unsigned long jiffies; extern void note(struct item *);
#define smp_store_release(p, v) (*(volatile typeof(*(p)) *)(p) = (v))

enum { ITEM_NEW, ITEM_USED, ITEM_GONE };
void mark(struct item *i) { smp_store_release(&i->flags, ITEM_GONE); note(i); }
int used(struct item *i) { return i->flags == ITEM_USED; }
