extern int work(int);
__attribute__((noinline)) unsigned int rate(int a) { return work(a) | 1; }
unsigned int user(int a, unsigned int b) { unsigned int r = rate(a); work(a); return b / r; }
