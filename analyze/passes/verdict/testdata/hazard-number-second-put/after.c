// want: KLP401 note file_drop
// want: KLP402 note file_drop
// cflags: -g
// cflags: -mno-sse
struct file { int count; int mode; void *priv; }; extern void fput(struct file *); extern int flush(struct file *);
int file_drop(struct file *f)
{
	int err = flush(f);
	if (err) {
		fput(f);
		fput(f);
		return err;
	}
	fput(f);
	return 0;
}
