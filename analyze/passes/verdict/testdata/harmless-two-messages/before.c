extern int _dev_err(const void *, const char *, ...); extern int _dev_info(const void *, const char *, ...);
extern int hw_id(void *); extern int hw_start(void *, int);
int probe_hw(void *dev)
{
	int id = hw_id(dev);
	if (id < 0) {
		_dev_err(dev, "no id\n");
		return id;
	}
	return hw_start(dev, id);
}
