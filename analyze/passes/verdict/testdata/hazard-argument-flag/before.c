struct wq; extern struct wq *alloc_workqueue(const char *fmt, unsigned flags, int max); extern struct wq *the_wq;
int work_start(void)
{
	the_wq = alloc_workqueue("case", 0x2, 1);
	return the_wq ? 0 : -12;
}
