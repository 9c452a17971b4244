// want: KLP401 note seq_log
// want: KLP402 note seq_log
// cflags: -g
// cflags: -mno-sse
extern int _printk(const char *, ...); struct s { int seq; int last; };
int seq_log(struct s *s, int v)
{
	if (v < 0)
		return -22;
	_printk("value %d at %d\n", v, __atomic_add_fetch(&s->seq, 1, __ATOMIC_SEQ_CST));
	s->last = v;
	return 0;
}
