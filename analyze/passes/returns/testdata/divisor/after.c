// want: KLP205 warning rate
// text: can now return zero
// text: divide by the result
// text: user
extern int work(int); extern void log(void);
unsigned int rate(int a) { if (a > 7) return 0; return work(a) | 1; }
