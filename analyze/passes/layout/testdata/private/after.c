// want: nothing
// cflags: -g
struct walk {
	int depth;
	long limit;
	int found;
};

int step(struct walk *w, int x);

static __attribute__((noinline)) void visit(struct walk *w, int x)
{
	if (w->depth++ > w->limit)
		return;
	if (x > 3)
		w->found = x;
}

int search(int x)
{
	struct walk w = { .limit = 7 };

	visit(&w, x);
	step(&w, x);
	return w.found;
}
