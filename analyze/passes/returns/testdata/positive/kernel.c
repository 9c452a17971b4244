extern int work(int);
__attribute__((noinline)) int set(int a) { if (a > 7) return -22; work(a); return 0; }
int user(int a) { int e = set(a); if (e) return e; return work(a); }
