// want: changed f
// The pointer is that of the original, so that calls over it are redirected too.
// extract: externs f reg
extern void reg(int (*)(int));
int f(int a) { reg(f); return a * 7; }
