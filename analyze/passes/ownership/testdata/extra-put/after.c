// want: KLP207 warning attach
// text: gives up argument 0
// text: attach_all
struct device { int id; };

void put_device(struct device *d);
int start(struct device *d);

__attribute__((noipa)) int attach(struct device *d, int mode)
{
	if (mode < 0) {
		put_device(d);
		return -22;
	}
	return start(d);
}

int attach_all(struct device *a)
{
	int err = attach(a, 1);

	if (err)
		put_device(a);
	return err;
}
