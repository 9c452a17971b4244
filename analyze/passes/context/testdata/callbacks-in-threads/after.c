// want: nothing
// Functions that may sleep where they run: threads of interrupts, and kernel threads.
int request_threaded_irq(unsigned int irq, int (*handler)(int, void *), int (*thread_fn)(int, void *), unsigned long flags, const char *name, void *dev);
void *kthread_create_on_node(int (*fn)(void *), void *data, int node, const char *name);
int wake(int irq, void *p);
void note(void *p);
void msleep(unsigned int ms);

static int slow(int irq, void *p)
{
	msleep(10);
	return 1;
}

static int loop(void *p)
{
	msleep(10);
	return 1;
}

void setup(void *p)
{
	request_threaded_irq(1, wake, slow, 0, "a", p);
	kthread_create_on_node(loop, p, -1, "b");
}
