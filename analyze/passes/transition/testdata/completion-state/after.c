// want: KLP301 note child_wait
// text: waits in wait_for_completion_state (interruptible)
// text: signals them after 15 seconds
struct completion;
extern int wait_for_completion_state(struct completion *c, unsigned int state);
long child_wait(struct completion *c, long *to)
{
	int err = wait_for_completion_state(c, 1);

	if (err)
		return err;
	*to = 2;
	return 8;
}
