// want: KLP115 warning chip
// text: +0x10 (.retrigger): no function becomes generic_retrigger
extern int work(int);
extern int generic_retrigger(int);
extern int generic_level;
struct chip { const char *name; int (*ack)(int); int (*retrigger)(int); int *level; };
static int my_ack(int a) { return work(a); }
static struct chip chip = { .name = "x", .ack = my_ack, .retrigger = generic_retrigger };
struct chip *lookup(int a) { return a ? &chip : 0; }
