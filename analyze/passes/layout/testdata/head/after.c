// want: KLP208 unknown
// text: struct balance
// text: on the stacks of: balance
// text: struct balance.tasks is the head of a list
// cflags: -g
struct list_head {
	struct list_head *next, *prev;
};

struct task {
	struct list_head node;
	int load;
};

struct balance {
	long budget;
	struct list_head tasks;
	int moved;
};

int detach(struct balance *env, struct list_head *from);

static __attribute__((noinline)) void attach(struct balance *env)
{
	struct task *p = (struct task *)env->tasks.next;

	while (&p->node != &env->tasks) {
		env->moved += p->load;
		p = (struct task *)p->node.next;
	}
}

int balance(struct list_head *from)
{
	struct balance env = { .tasks = { &env.tasks, &env.tasks } };

	detach(&env, from);
	attach(&env);
	return env.moved;
}
