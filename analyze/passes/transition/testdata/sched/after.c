// want: KLP303 warning wait_a_round
// text: scheduler's waiting functions
void schedule(void);

__attribute__((section(".sched.text"))) int wait_a_round(int *x)
{
	schedule();
	return *x + 2;
}
