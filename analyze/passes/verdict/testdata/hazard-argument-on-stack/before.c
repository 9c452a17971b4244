struct st { long a, b, c, d, e, f; int bad; }; extern int seq_printf(void *, const char *, ...);
int show_stat(void *m, struct st *s)
{
	if (s->bad)
		return -22;
	seq_printf(m, "%ld %ld %ld %ld %ld %ld\n", s->a, s->b, s->c, s->d, s->e, s->f);
	return 0;
}
