/* Another object with functions of the same names and code. */
#define noinline __attribute__((noinline))
static noinline int twin(int x) { return x * 3 + 1; }
static noinline int twin_by_data(int x) { return x * 7 + 2; }
int (*const NAME(ops)[])(int) = { twin_by_data };
int NAME(user)(int x) { return twin(x) - 1; }
