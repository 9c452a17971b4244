// want: nothing
extern int work(int); extern void log(void);
int set(int a) { if (a > 7) return -22; if (a == 4) return 1; work(a); return 0; }
