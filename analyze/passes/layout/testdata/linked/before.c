struct list_head {
	struct list_head *next, *prev;
};

struct waiter {
	struct list_head node;
	int woken;
};

extern struct list_head waiters;
int sleep_on(struct waiter *w);

void wake_all(void)
{
	struct waiter *w;

	for (w = (struct waiter *)waiters.next; &w->node != &waiters; w = (struct waiter *)w->node.next)
		w->woken = 1;
}

int wait(void)
{
	struct waiter w = { .node = { waiters.next, &waiters } };

	waiters.next = &w.node;
	sleep_on(&w);
	return w.woken;
}
