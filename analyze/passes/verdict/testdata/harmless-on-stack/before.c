struct stat { int mode; unsigned ino; long size, blocks, pad[3]; }; extern int copy_out(void *to, const void *from, unsigned long n);
struct inode { int mode; unsigned ino; long size; int bad; };
int stat_fill(struct inode *i, void *to)
{
	struct stat s = {};
	if (i->bad)
		return -5;
	s.mode = i->mode;
	s.ino = i->ino;
	s.size = i->size;
	if (copy_out(to, &s, sizeof(s)))
		return -14;
	return 0;
}
