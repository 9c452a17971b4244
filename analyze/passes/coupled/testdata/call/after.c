// want: KLP210 unknown inner
// text: outer calls inner
// text: whether they must switch together is not known
extern int work(int);
__attribute__((noinline)) static int inner(int a) { return work(a) - 1; }
int outer(int a) { return inner(a) + 2; }
