// want: KLP205 warning set
// text: through ops.set
// text: 4 other functions of ops.set
// cflags: -gbtf
extern int work(int); extern void log(void);
struct inode; struct ops { int (*set)(struct inode *, int); int (*get)(struct inode *, int); };
int set(struct inode *i, int a) { if (a > 7) return -22; if (a == 4) return 1; return work(a); }
const struct ops ops_set = { .set = set };
