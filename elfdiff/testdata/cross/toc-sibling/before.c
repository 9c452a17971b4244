// ppc64le flags: -mcmodel=large -foptimize-sibling-calls
extern int ext(int);
static __attribute__((noinline)) int helper(int a) { return ext(a) * 3; }
int f(int a) { return helper(a + 3); }
int g(int a) { return helper(a) + 1; }
