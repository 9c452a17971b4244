// want: changed f
// only: ppc64le
// extract: fails KLP109
// No instruction behind the call of a function in the same object reloads the TOC pointer.
// ppc64le flags: -mcmodel=large
extern int ext(int);
static __attribute__((noinline)) int helper(int a) { return ext(a) * 3; }
int f(int a) { return helper(a) + helper(a + 4); }
int g(int a) { return helper(a) + 1; }
