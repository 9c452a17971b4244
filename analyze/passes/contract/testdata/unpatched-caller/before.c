extern int work(long);
struct ops { int (*run)(int); };
__attribute__((noinline)) static int scale(int a) { return work(a) * 2; }
int caller(int a) { return scale(a) + 1; }
const struct ops table = { .run = scale };
