// want: nothing
struct ops { int state; };

void *find(struct ops *o);

__attribute__((noipa)) static void *choose(struct ops *o)
{
	return o->state > 2 ? find(o) : 0;
}

void *rcu_idle_enter(struct ops *o)
{
	return choose(o);
}
