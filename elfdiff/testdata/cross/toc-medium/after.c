// want: changed f
// only: ppc64le
// extract: fails KLP109
// The TOC of the kernel is out of the module's reach.
// ppc64le flags: -mcmodel=medium
static int state;
int f(int a) { state += a; return state + 2; }
int g(void) { return state; }
