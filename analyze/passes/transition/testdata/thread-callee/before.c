struct task;

struct task *kthread_create_on_node(int (*fn)(void *), void *data, int node, const char *fmt, ...);
int wake_up_process(struct task *t);
_Bool kthread_should_stop(void);
long schedule_timeout(long t);
void flush(void *data, int limit);

static __attribute__((noinline)) void round_of_work(void *data)
{
	flush(data, 8);
}

static int flusher(void *data)
{
	while (!kthread_should_stop()) {
		round_of_work(data);
		schedule_timeout(250);
	}
	return 0;
}

int start(void *data)
{
	return wake_up_process(kthread_create_on_node(flusher, data, -1, "flush/%d", 3));
}
