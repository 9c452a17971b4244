extern int limit; extern int *slots; extern int *zalloc(int);
int slot_set(int i, int v)
{
	if (i < 0)
		return -22;
	slots[i] = v;
	return 0;
}
__attribute__((section(".init.text"))) int setup(void)
{
	slots = zalloc(64);
	return 0;
}
