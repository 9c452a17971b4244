enum {
	FAILED = 1,
};

struct cmd {
	unsigned int flags;
	int done;
};

int send(struct cmd *c);

static inline int ask(struct cmd *c)
{
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
	return c->done;
}
