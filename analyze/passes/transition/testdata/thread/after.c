// want: KLP301 warning flusher
// text: flusher (thread flush/%d)
// text: main loop of a kernel thread
struct task;

struct task *kthread_create_on_node(int (*fn)(void *), void *data, int node, const char *fmt, ...);
int wake_up_process(struct task *t);
_Bool kthread_should_stop(void);
long schedule_timeout(long t);
void flush(void *data, int limit);

static int flusher(void *data)
{
	while (!kthread_should_stop()) {
		flush(data, 16);
		schedule_timeout(250);
	}
	return 0;
}

int start(void *data)
{
	return wake_up_process(kthread_create_on_node(flusher, data, -1, "flush/%d", 3));
}
