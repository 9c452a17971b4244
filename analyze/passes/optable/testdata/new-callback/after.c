// want: KLP115 warning table
// text: +0x10 (.ioctl): no function becomes my_ioctl
// text: lookup
extern int work(int);
struct ops { const char *name; int (*open)(int); int (*ioctl)(int); };
static int my_open(int a) { return work(a); }
static int my_ioctl(int a) { return work(a + 1); }
static const struct ops table = { .name = "x", .open = my_open, .ioctl = my_ioctl };
const struct ops *lookup(int a) { return a ? &table : 0; }
int use(int a) { const struct ops *o = &table; work(*(int *)o->name); return lookup(a)->open(a); }
