// want: nothing
extern int work(long);
__attribute__((noinline)) static int scale(int factor) { return work(factor) * 3; }
int caller(int a) { return scale(a) + 1; }
