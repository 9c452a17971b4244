// want: KLP401 note update
// want: KLP402 note update
// text: returns -22, which the old code is not seen to return
struct s { int len; int state; char buf[32]; };
extern int work(struct s *); extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
extern int lock, other; extern int counter;
int update(struct s *s, int n) { if (n > 32) return -22; _raw_spin_lock(&lock); s->state = 3; counter++; work(s); _raw_spin_unlock(&lock); return 0; }
