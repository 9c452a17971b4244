void kfree(const void *p);
void *allocate(int n);
int fill(void *p, int n);

int run(int n)
{
	void *p = allocate(n);
	int err = fill(p, n);

	if (err)
		return err;
	kfree(p);
	return 0;
}
