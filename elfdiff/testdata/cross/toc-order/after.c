// want: changed f
// only: ppc64le
// Which entry of the TOC a function uses means nothing, what stands there does: the code of f is the same.
// ppc64le flags: -mcmodel=medium
extern int a, b, c;
int f(void) { return c; }
int g(void) { return b; }
int h(void) { return c; }
