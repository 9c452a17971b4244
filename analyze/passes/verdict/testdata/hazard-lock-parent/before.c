struct dev { int lock; int pad; struct dev *parent; const char *name; int gen; };
extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
int dev_rename(struct dev *dev, const char *name)
{
	if (!name)
		return -22;
	_raw_spin_lock(&dev->lock);
	dev->name = name;
	dev->gen++;
	_raw_spin_unlock(&dev->lock);
	return 0;
}
