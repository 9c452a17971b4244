// want: KLP206 error leave
// text: returns having disabled bottom halves
// text: caller
typedef struct { int v; } spinlock_t;
struct foo { int state; spinlock_t lock; };
extern void _raw_spin_unlock(spinlock_t *); extern void __local_bh_disable_ip(unsigned long, unsigned); extern void __local_bh_enable_ip(unsigned long, unsigned);
__attribute__((noinline)) int leave(struct foo *f) { __local_bh_disable_ip(1, 0x200); f->state++; return f->state; }
int caller(struct foo *f) { return leave(f) + 1; }
