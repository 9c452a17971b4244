struct completion;
extern int wait_for_completion_state(struct completion *c, unsigned int state);
long child_wait(struct completion *c, long *to)
{
	int err = wait_for_completion_state(c, 1);

	if (err)
		return err;
	*to = 1;
	return 8;
}
