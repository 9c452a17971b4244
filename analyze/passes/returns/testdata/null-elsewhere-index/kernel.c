extern int work(int); extern char names[64];
__attribute__((noinline)) long find(int a) { work(a); return a | 1; }
int user(int a) { return names[find(a)]; }
