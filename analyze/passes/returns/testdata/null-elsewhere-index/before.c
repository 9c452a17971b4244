extern int work(int); extern void log(void);
struct thing { int a, b; }; extern struct thing things[8];
long find(int a) { work(a); return a | 1; }
