// want: nothing
extern int work(long);
__attribute__((noinline)) static int scale(int a, int b) { return work(a) * b; }
int caller(int a) { return scale(a, a + 3) + 1; }
