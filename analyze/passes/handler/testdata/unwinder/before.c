struct ops { int state; };

void *find(struct ops *o);

__attribute__((noipa)) static void *choose(struct ops *o)
{
	return o->state > 1 ? find(o) : 0;
}

void *stack_trace_save_tsk_reliable(struct ops *o)
{
	return choose(o);
}
