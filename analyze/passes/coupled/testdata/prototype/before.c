extern int work(int);
__attribute__((noinline)) static int inner(int a) { return work(a); }
int outer(int a) { return inner(a) + 1; }
