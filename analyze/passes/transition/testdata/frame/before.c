void enter(void *frame, int flags);

/* As STACK_FRAME_NON_STANDARD does. */
void switch_frames(void *frame);
static void __attribute__((used, section(".discard.func_stack_frame_non_standard"))) *mark = switch_frames;

void switch_frames(void *frame)
{
	enter(frame, 1);
}
