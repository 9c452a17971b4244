// want: changed f
// want: new check
// want: data new seen
// extract: carries seen
extern int ext(int);
int seen;
static __attribute__((noinline)) int check(int a) { seen++; return ext(a) != 0; }
int f(int a) { return check(a) ? a : 0; }
