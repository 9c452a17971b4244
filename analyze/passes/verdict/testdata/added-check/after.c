// want: KLP401 given update
// want: KLP402 given update
// text: lock primitives: the same before and after (_raw_spin_lock(lock), _raw_spin_unlock(lock))
// text: variables written: the same before and after (counter)
// text: not compared
struct s { int len; int state; char buf[32]; };
extern int work(struct s *); extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
extern int lock, other; extern int counter;
int update(struct s *s, int n) { if (n > 32) return -22; _raw_spin_lock(&lock); s->state = 3; counter++; work(s); _raw_spin_unlock(&lock); return 0; }
