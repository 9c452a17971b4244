extern int work(int); extern void log(void);
int set(int a) { if (a > 7) return -22; work(a); return 0; }
