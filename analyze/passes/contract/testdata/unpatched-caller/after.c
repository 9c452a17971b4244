// want: KLP204 warning scale
// text: int scale(long)
// text: its address is held by table
extern int work(long);
struct ops { int (*run)(int); };
__attribute__((noinline)) static int scale(long a) { return work(a) * 2; }
int caller(int a) { return scale(a) + 1; }
const struct ops table = { .run = (void *)scale };
