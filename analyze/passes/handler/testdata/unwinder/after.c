// want: KLP212 warning choose
// text: decide which tasks may change over
struct ops { int state; };

void *find(struct ops *o);

__attribute__((noipa)) static void *choose(struct ops *o)
{
	return o->state > 2 ? find(o) : 0;
}

void *stack_trace_save_tsk_reliable(struct ops *o)
{
	return choose(o);
}
