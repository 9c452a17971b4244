extern int _printk(const char *, ...); struct s { int seq; int last; };
int seq_log(struct s *s, int v)
{
	if (v < 0)
		return -22;
	_printk("value %d\n", v);
	s->last = v;
	return 0;
}
