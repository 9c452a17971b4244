struct file { int count; int mode; void *priv; }; extern void fput(struct file *); extern int flush(struct file *);
int file_drop(struct file *f)
{
	int err = flush(f);
	if (err) {
		fput(f);
		return err;
	}
	fput(f);
	return 0;
}
