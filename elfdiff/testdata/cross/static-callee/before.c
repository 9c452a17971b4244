extern int ext(int);
static __attribute__((noinline)) int helper(int a) { return ext(a) * 3; }
int f(int a) { int r = helper(a); return r + helper(r + 3); }
int g(int a) { return helper(a) + 1; }
