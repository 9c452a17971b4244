// want: KLP212 warning choose
// text: called by klp_ftrace_handler → choose
struct ops { int state; };

void *find(struct ops *o);

__attribute__((noipa)) static void *choose(struct ops *o)
{
	return o->state > 2 ? find(o) : 0;
}

void *klp_ftrace_handler(struct ops *o)
{
	return choose(o);
}
