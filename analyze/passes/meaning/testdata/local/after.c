// want: nothing
#define R_OK 1
#define R_LATER 2

struct file {
	unsigned int flags;
};

int check(struct file *f)
{
	int result = R_OK;

	if (f->flags & 4)
		result = R_LATER;
	return result;
}
