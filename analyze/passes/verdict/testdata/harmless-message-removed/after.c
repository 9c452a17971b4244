// want: KLP401 given ro_mount
// want: KLP402 given ro_mount
// cflags: -g
// cflags: -mno-sse
extern int _printk(const char *, ...); struct sb { unsigned long flags; int errors; }; extern int replay(struct sb *);
int ro_mount(struct sb *sb)
{
	if (sb->flags & 1)
		return 0;
	sb->flags |= 2;
	return replay(sb);
}
