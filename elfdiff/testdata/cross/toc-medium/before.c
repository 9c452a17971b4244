// ppc64le flags: -mcmodel=medium
static int state;
int f(int a) { state += a; return state + 1; }
int g(void) { return state; }
