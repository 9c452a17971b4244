extern int work(int); extern void log(void);
struct thing { int a, b; }; extern struct thing things[8];
struct thing *find(int a) { work(a); return &things[a & 7]; }
extern const char __ksymtab_find; const char __ksymtab_find = 1;
