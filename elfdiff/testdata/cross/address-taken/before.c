extern void reg(int (*)(int));
int f(int a) { reg(f); return a * 5; }
