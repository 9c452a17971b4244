// want: KLP301 note event_read
// text: event_read waits in wait_for_completion_interruptible
// text: signals them after 15 seconds
struct completion;

int wait_for_completion_interruptible(struct completion *c);

long event_read(struct completion *c, long *to)
{
	int err = wait_for_completion_interruptible(c);

	if (err)
		return err;
	*to = 2;
	return 8;
}
