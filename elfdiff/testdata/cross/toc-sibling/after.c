// want: changed f
// only: ppc64le
// extract: fails KLP109
// A sibling call to a function of the same object.
// ppc64le flags: -mcmodel=large -foptimize-sibling-calls
extern int ext(int);
static __attribute__((noinline)) int helper(int a) { return ext(a) * 3; }
int f(int a) { return helper(a + 4); }
int g(int a) { return helper(a) + 1; }
