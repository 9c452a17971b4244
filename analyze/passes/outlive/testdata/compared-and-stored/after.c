// want: KLP215 unknown item_open
// text: what becomes of it is not seen
struct head { void *next; void (*func)(struct head *); };
struct work { struct work *next, *prev; void (*func)(struct work *); };
struct ops { int (*open)(int); int (*close)(int); };
struct item { struct head rcu; struct work work; const struct ops *ops; int n; };
extern void call_rcu(struct head *, void (*)(struct head *)); extern void init_timer_key(void *, void (*)(void *), unsigned, const char *, void *);
extern void sort(void *, unsigned long, unsigned long, int (*)(const void *, const void *), void *); extern void queue(struct work *);
extern void later(void *, void (*)(void *)); extern int each(struct item *, struct ops *); extern void kfree(void *); extern int act(int);
static int item_open(int x) { return act(x) + 1; }
int arm(struct ops *o, int n) { int (*f)(int) = item_open; __asm__("" : "+r"(f)); if (o->open != f) o->open = f; return n; }
