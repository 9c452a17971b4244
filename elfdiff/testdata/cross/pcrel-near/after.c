// want: changed f
// only: ppc64le
// extract: fails KLP109
// The kernel's variables are out of reach of 34 bits from a module.
// ppc64le flags: -mcpu=power10 -mpcrel -mcmodel=medium
static int state;
int f(int a) { state += a; return state + 2; }
int g(void) { return state; }
