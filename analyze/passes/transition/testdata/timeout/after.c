// want: nothing
struct waiter { void *task; };

void prepare_to_wait(void *queue, struct waiter *w, int state);
void finish_wait(void *queue, struct waiter *w);
long schedule_timeout(long timeout);
int stuck(void *queue);
int post(void *queue, int n);

int request(void *queue, int (*done)(void *))
{
	long left = 500;
	struct waiter w;

	while (stuck(queue) && left) {
		prepare_to_wait(queue, &w, 1);
		left = schedule_timeout(left);
	}
	finish_wait(queue, &w);
	return post(queue, 2);
}
