// want: KLP205 note setup
// text: returned only 0, 1 before
extern int work(int); extern void log(void);
int setup(int a) { if (a > 100) return -12; if (a == 4) { log(); return 1; } work(a); log(); return 0; }
