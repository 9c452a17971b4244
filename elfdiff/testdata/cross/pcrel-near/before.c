// ppc64le flags: -mcpu=power10 -mpcrel -mcmodel=medium
static int state;
int f(int a) { state += a; return state + 1; }
int g(void) { return state; }
