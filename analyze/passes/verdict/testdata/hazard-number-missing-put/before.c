struct task { int pid, flags; }; extern struct task *get_task(int pid); extern void put_task(struct task *);
int task_peek(int pid)
{
	struct task *t = get_task(pid);
	int flags;
	if (!t)
		return -3;
	flags = t->flags;
	if (flags & 4) {
		put_task(t);
		return -3;
	}
	put_task(t);
	return flags;
}
