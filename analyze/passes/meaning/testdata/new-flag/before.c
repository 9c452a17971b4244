#define F_OPEN 1

struct file {
	unsigned int flags;
};

void stop(struct file *f);

void shut(struct file *f)
{
	f->flags &= ~F_OPEN;
	stop(f);
}
