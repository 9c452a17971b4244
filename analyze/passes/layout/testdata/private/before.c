struct walk {
	int depth;
	int found;
};

int step(struct walk *w, int x);

static __attribute__((noinline)) void visit(struct walk *w, int x)
{
	w->depth++;
	if (x > 3)
		w->found = x;
}

int search(int x)
{
	struct walk w = { 0 };

	visit(&w, x);
	step(&w, x);
	return w.found;
}
