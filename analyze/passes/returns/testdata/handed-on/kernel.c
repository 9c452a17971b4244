extern int work(int); extern void log(void);
struct thing { int a, b; }; extern struct thing things[8];
__attribute__((noinline)) struct thing *find(int a) { work(a); return &things[a & 7]; }
__attribute__((noinline)) struct thing *wrapper(int a) { struct thing *t = find(a + 1); work(a); return t; }
int user(int a) { return wrapper(a)->b; }
