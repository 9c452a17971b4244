typedef unsigned int u32; typedef unsigned long long u64;
struct ext { u32 start, len; int lock; u64 total; }; extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
int ext_grow(struct ext *e, u32 n)
{
	int err = -34;
	_raw_spin_lock(&e->lock);
	if (!n)
		goto out;
	e->len += n;
	e->total += n;
	err = 0;
out:
	_raw_spin_unlock(&e->lock);
	return err;
}
