// want: KLP301 note request
// text: request waits in schedule_timeout (interruptible)
struct waiter { void *task; };

void prepare_to_wait(void *queue, struct waiter *w, int state);
void finish_wait(void *queue, struct waiter *w);
long schedule_timeout(long timeout);
int stuck(void *queue);
int post(void *queue, int n);

int request(void *queue, int (*done)(void *))
{
	struct waiter w;

	prepare_to_wait(queue, &w, 1);
	if (stuck(queue))
		schedule_timeout(1000000);
	finish_wait(queue, &w);
	return post(queue, 2);
}
