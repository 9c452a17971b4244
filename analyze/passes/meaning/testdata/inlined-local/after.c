// want: nothing
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
	int state = ASKED;

	if (send(c))
		state = FAILED;
	return state;
}

int work(struct cmd *c)
{
	return ask(c) + 1;
}
