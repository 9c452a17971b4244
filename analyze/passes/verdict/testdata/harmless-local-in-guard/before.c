typedef unsigned long long u64; typedef unsigned int u32;
struct dev { u64 blocks; int err; }; extern int do_read(struct dev *, u64, u32);
int blk_read(struct dev *d, u64 at, u32 n)
{
	if (!n)
		return -5;
	d->err = 0;
	return do_read(d, at, n);
}
