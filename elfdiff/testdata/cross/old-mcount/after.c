// want: changed f
// want: changed quiet
// want: KLP101 error quiet
// only: ppc64le s390x
// recordmcount of v4.19 counts no functions in sections of their own, and changes none.
// s390x flags: -mhotpatch=0,3
extern int ext(int);
__attribute__((section(".init.text"))) int start(void) { return ext(0); }
int f(int a) { return ext(a + 2) * 2; }
__attribute__((noinline, no_instrument_function))
#ifdef __s390x__
__attribute__((hotpatch(0, 0)))
#endif
int quiet(int a) { return ext(a + 4) * 2; }
int g(int a) { return quiet(a) + 1; }
