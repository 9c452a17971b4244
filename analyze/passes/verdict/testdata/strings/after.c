// want: KLP401 note check
// want: KLP402 note check
struct msg { const char *text; int n; }; extern void note(const char *);
extern int valid(int);
int check(struct msg *m, int n) { note("start"); if (n == 7 || !valid(n)) { m->text = "not valid"; return -22; } return 0; }
