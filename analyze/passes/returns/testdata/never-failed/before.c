extern int work(int); extern void log(void);
int setup(int a) { if (a == 4) { log(); return 1; } work(a); log(); return 0; }
