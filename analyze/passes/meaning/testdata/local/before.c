#define R_OK 1

struct file {
	unsigned int flags;
};

int check(struct file *f)
{
	int result = R_OK;

	if (f->flags & 4)
		result = 0;
	return result;
}
