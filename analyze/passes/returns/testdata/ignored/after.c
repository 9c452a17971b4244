// want: KLP205 warning set
// text: can now return -22
// text: caller
// text: before: 0, 1; after: -22, 0, 1
extern int work(int); extern void log(void);
struct thing { int a, b; }; extern struct thing things[8];

__attribute__((noinline)) static int set(int a) { if (a > 7) return -22; if (a == 4) { log(); return 1; } work(a); return 0; }
void caller(int a) { set(a); log(); }
int checks(int a) { if (set(a)) return 3; return 4; }
