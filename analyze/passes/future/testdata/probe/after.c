// want: KLP213 warning setup
// text: .probe = my_probe
// text: devices that are bound already
extern int work(int); extern int register_driver(void *);
struct driver { int (*probe)(int); int (*remove)(int); int (*suspend)(int); };
__attribute__((noinline)) static int setup(int a) { return work(a + 8); }
static int my_probe(int a) { return setup(a) ? 1 : setup(a + 1); }
static int my_remove(int a) { return work(a); }
static struct driver drv = { .probe = my_probe, .remove = my_remove, };
int use(void) { return register_driver(&drv); }
