// want: KLP401 note update
// want: KLP402 note update
// text: a stored value is computed otherwise: 3 before, 4 after
struct s { int len; int state; char buf[32]; };
extern int work(struct s *); extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
extern int lock, other; extern int counter;
int update(struct s *s, int n) { s->state = 4; work(s); return 0; }
