// want: nothing
struct waiter { void *task; };

void prepare_to_wait(void *queue, struct waiter *w, int state);
void finish_wait(void *queue, struct waiter *w);
long schedule_timeout(long timeout);
int stuck(void *queue);
int post(void *queue, int n);

static __attribute__((noinline)) int attach(long *timeo, void *queue)
{
	struct waiter w;

	if (!stuck(queue))
		return 0;
	if (!*timeo)
		return -11;
	prepare_to_wait(queue, &w, 1);
	*timeo = schedule_timeout(*timeo);
	finish_wait(queue, &w);
	return 1;
}

__attribute__((noinline)) int unicast(void *queue, long *limit, int flags)
{
	long timeo = flags & 0x40 ? 0 : *limit;
	int err;

	while ((err = attach(&timeo, queue)) == 1)
		;
	return err ? err : post(queue, 7);
}

int notify(void *queue, long *limit)
{
	return unicast(queue, limit, 0x40 | 0x4000) + 2;
}
