// want: KLP304 warning on_own_stack
// text: objtool could not tell the frame where it calls work
// orc: yes
void work(void *buf);

/* Moves the stack in a way that objtool gives up on. */
void on_own_stack(void *buf)
{
	asm volatile("movq %%rsp, %%rbx\n\tsubq %0, %%rsp" : : "r" (buf) : "rbx", "memory");
	work(buf + 2);
	asm volatile("movq %%rbx, %%rsp" : : : "rbx", "memory");
}
