// want: KLP401 note work_start
// want: KLP402 note work_start
// cflags: -g
// cflags: -mno-sse
struct wq; extern struct wq *alloc_workqueue(const char *fmt, unsigned flags, int max); extern struct wq *the_wq;
int work_start(void)
{
	the_wq = alloc_workqueue("case", 0xa, 1);
	return the_wq ? 0 : -12;
}
