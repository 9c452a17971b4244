extern int work(int); extern void log(void);
__attribute__((noinline)) static int set(int a) { int r = work(a); log(); return r; }
void caller(int a) { set(a); log(); }
int checks(int a) { if (set(a)) return 3; return 4; }
