// want: KLP301 warning child_wait
// text: waits in wait_for_completion_state (killable, for a program)
// text: or kill the tasks that wait
struct completion;
extern int wait_for_completion_state(struct completion *c, unsigned int state);
long child_wait(struct completion *c, long *to)
{
	int err = wait_for_completion_state(c, 0x102);

	if (err)
		return err;
	*to = 2;
	return 8;
}
