// want: KLP209 note shut
// text: F_SHUT in .flags
// text: tests for F_SHUT
#define F_OPEN 1
#define F_SHUT 2

struct file {
	unsigned int flags;
};

void stop(struct file *f);

void shut(struct file *f)
{
	f->flags &= ~F_OPEN;
	if (!(f->flags & F_SHUT))
		stop(f);
	f->flags |= F_SHUT;
}
