struct ops { int state; };

void *find(struct ops *o);

__attribute__((noipa)) static void *choose(struct ops *o)
{
	return o->state > 1 ? find(o) : 0;
}

void *klp_ftrace_handler(struct ops *o)
{
	return choose(o);
}
