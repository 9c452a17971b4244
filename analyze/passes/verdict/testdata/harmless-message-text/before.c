struct fw { unsigned size; const unsigned char *data; }; extern int _dev_err(const void *, const char *, ...);
int fw_check(void *dev, struct fw *fw)
{
	unsigned i, sum = 0;
	if (fw->size < 16) {
		_dev_err(dev, "firmware too small\n");
		return -22;
	}
	for (i = 0; i < fw->size; i++)
		sum += fw->data[i];
	return sum & 0xff ? -74 : 0;
}
