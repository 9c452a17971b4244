// want: KLP401 given probe_hw
// want: KLP402 given probe_hw
// cflags: -g
// cflags: -mno-sse
extern int _dev_err(const void *, const char *, ...); extern int _dev_info(const void *, const char *, ...);
extern int hw_id(void *); extern int hw_start(void *, int);
int probe_hw(void *dev)
{
	int id = hw_id(dev);
	if (id < 0) {
		_dev_err(dev, "reading the id failed: %d\n", id);
		return id;
	}
	_dev_info(dev, "revision %d\n", id & 15);
	return hw_start(dev, id);
}
