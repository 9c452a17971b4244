struct dev { int id; int dead; struct dev *next; }; extern struct dev *devs;
struct dev *dev_find(int id)
{
	struct dev *d;
	for (d = devs; d; d = d->next)
		if (d->id == id)
			return d;
	return devs;
}
