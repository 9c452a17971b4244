extern int work(int); extern void log(void);
struct thing { int a, b; }; extern struct thing things[8];
__attribute__((noinline)) struct thing *find(int a) { work(a); return &things[a & 7]; }
__attribute__((noinline)) int use(int a, struct thing *t) { work(a); return t ? t->b : 0; }
int user(int a) { int b = use(3, find(a)); work(b); return b; }
