// want: KLP401 note update
// want: KLP402 note update
// text: argument 1 of _raw_spin_lock
struct s { int len; int state; char buf[32]; };
extern int work(struct s *); extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
extern int lock, other; extern int counter;
int update(struct s *s, int n) { _raw_spin_lock(&other); s->state = 3; work(s); _raw_spin_unlock(&other); return 0; }
