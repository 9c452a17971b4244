extern int work(int); extern void log(void);
struct inode; struct ops { int (*set)(struct inode *, int); int (*get)(struct inode *, int); };
int set(struct inode *i, int a) { if (a > 7) return -22; return work(a); }
const struct ops ops_set = { .set = set };
