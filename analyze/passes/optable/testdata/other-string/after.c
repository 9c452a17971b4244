// want: nothing
extern int work(int);
struct ops { const char *name; int (*open)(int); int (*ioctl)(int); };
static int my_open(int a) { return work(a); }
static const struct ops table = { .name = "another", .open = my_open };
const struct ops *lookup(int a) { return a ? &table : 0; }
