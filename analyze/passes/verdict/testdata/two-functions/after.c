// want: KLP401 note
// want: KLP402 note
// text: the value returned is computed otherwise
struct s { int len; int state; char buf[32]; };
extern int work(struct s *); extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
extern int lock, other; extern int counter;
int one(struct s *s) { return work(s) + 3; }
int two(struct s *s) { return work(s) + 4; }
