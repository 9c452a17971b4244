// want: nothing
struct device { int id; };

struct device *get_device(struct device *d);
void put_device(struct device *d);
int start(struct device *d, int mode);

int restart(struct device *d)
{
	int err;

	get_device(d);
	err = start(d, 2);
	put_device(d);
	return err;
}
