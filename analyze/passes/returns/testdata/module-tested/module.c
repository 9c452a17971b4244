extern int work(int); extern void log(void);
struct thing { int a, b; }; extern struct thing things[8];
extern struct thing *find(int a); int user(int a) { struct thing *t = find(a); return t ? t->b : 0; }
