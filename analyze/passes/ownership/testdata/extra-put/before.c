struct device { int id; };

void put_device(struct device *d);
int start(struct device *d);

__attribute__((noipa)) int attach(struct device *d, int mode)
{
	if (mode < 0)
		return -22;
	return start(d);
}

int attach_all(struct device *a)
{
	int err = attach(a, 1);

	if (err)
		put_device(a);
	return err;
}
