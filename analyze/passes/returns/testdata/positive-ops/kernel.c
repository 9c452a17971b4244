extern int work(int); extern void log(void);
struct inode; struct ops { int (*set)(struct inode *, int); int (*get)(struct inode *, int); };
__attribute__((noinline)) int set(struct inode *i, int a) { if (a > 7) return -22; return work(a); }
__attribute__((noinline)) int one(struct inode *i, int a) { if (a > 7) return -1; return work(a); }
__attribute__((noinline)) int two(struct inode *i, int a) { if (a > 7) return -2; return work(a); }
__attribute__((noinline)) int three(struct inode *i, int a) { if (a > 7) return -3; return work(a); }
const struct ops ops_set = { .set = set };
const struct ops ops_one = { .set = one };
const struct ops ops_two = { .set = two };
const struct ops ops_three = { .set = three };
int call(const struct ops *o, struct inode *i, int a) { int e = o->set(i, a); log(); return e; }
__attribute__((noinline)) int four(struct inode *i, int a) { if (a > 7) return -4; return work(a); }
const struct ops ops_four = { .set = four };
