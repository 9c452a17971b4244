extern int work(int); extern void log(void);
struct thing { int a, b; }; extern struct thing things[8];

__attribute__((noinline)) static struct thing *find(int a) { work(a); return &things[a]; }
int checks(int a) { struct thing *t = find(a); return t ? t->b : 0; }
