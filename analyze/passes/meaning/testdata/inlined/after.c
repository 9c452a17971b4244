// want: KLP209 note work
// text: ask stores ASKED, new in dir/case.c, in member flags
// text: answer tests for ASKED, which only new code stores
enum {
	FAILED = 1,
	ASKED = 2,
};

struct cmd {
	unsigned int flags;
	int done;
};

int send(struct cmd *c);

static inline int ask(struct cmd *c)
{
	c->flags |= ASKED;
	return send(c) + 2;
}

int work(struct cmd *c)
{
	return ask(c) + 1;
}

int answer(struct cmd *c)
{
	if (c->flags & FAILED)
		return 0;
	if (!(c->flags & ASKED))
		return -1;
	return c->done;
}
