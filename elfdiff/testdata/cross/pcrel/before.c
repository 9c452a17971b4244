// ppc64le flags: -mcpu=power10 -mpcrel -mcmodel=medium
extern int ext(int), number;
static int state;
int f(int a) { return ext(a + 1) + number; }
int g(int a) { state += a; return ext(a); }
int h(int a) { return ext(number ? a : state); }
