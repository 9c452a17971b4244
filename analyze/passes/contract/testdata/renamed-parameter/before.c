extern int work(long);
__attribute__((noinline)) static int scale(int a) { return work(a) * 2; }
int caller(int a) { return scale(a) + 1; }
