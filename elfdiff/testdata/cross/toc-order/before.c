// ppc64le flags: -mcmodel=medium
extern int a, b, c;
int f(void) { return a; }
int g(void) { return b; }
int h(void) { return c; }
