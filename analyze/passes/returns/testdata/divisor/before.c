extern int work(int); extern void log(void);
unsigned int rate(int a) { return work(a) | 1; }
