// want: nothing
extern int work(int); extern void log(void);
struct thing { int a, b; }; extern struct thing things[8];

__attribute__((noinline)) static int set(int a) { if (a > 7) return -22; if (a == 4) { log(); return -5; } work(a); return 0; }
void caller(int a) { set(a); log(); }
