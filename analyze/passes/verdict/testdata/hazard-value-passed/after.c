// want: KLP401 note inode_mark
// want: KLP402 note inode_mark
// cflags: -g
// cflags: -mno-sse
struct inode { unsigned long i_state; void *sb; }; extern void mark_inode(struct inode *, int flags);
int inode_mark(struct inode *i, int sync)
{
	if (!i->sb)
		return -22;
	mark_inode(i, sync ? 7 : 3);
	return 0;
}
