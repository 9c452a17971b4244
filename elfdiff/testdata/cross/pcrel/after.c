// want: changed f
// only: ppc64le
// No TOC, but addresses of 34 bits from the instruction (CONFIG_PPC_KERNEL_PCREL, v6.4 and later).
// ppc64le flags: -mcpu=power10 -mpcrel -mcmodel=medium
extern int ext(int), number;
static int state;
int f(int a) { return ext(a + 2) + number; }
int g(int a) { state += a; return ext(a); }
int h(int a) { return ext(number ? a : state); }
