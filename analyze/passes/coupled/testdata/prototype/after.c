// want: KLP210 note inner
// text: 2 changed functions communicate with each other and must switch together
// text: outer calls inner: the prototype was: int inner(int); the prototype is:  int inner(int, int)
extern int work(int);
__attribute__((noinline)) static int inner(int a, int b) { return work(a + b); }
int outer(int a) { return inner(a, a) + 1; }
