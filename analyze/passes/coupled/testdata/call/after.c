// want: KLP210 note inner
// text: outer calls inner
extern int work(int);
__attribute__((noinline)) static int inner(int a) { return work(a) - 1; }
int outer(int a) { return inner(a) + 2; }
