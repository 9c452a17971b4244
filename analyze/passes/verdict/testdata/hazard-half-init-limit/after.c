// want: KLP102 warning setup
// want: KLP401 note slot_set
// want: KLP402 note slot_set
// cflags: -g
// cflags: -mno-sse
// text: KLP102
extern int limit; extern int *slots; extern int *zalloc(int);
int slot_set(int i, int v)
{
	if (i < 0)
		return -22;
	if (i >= limit)
		return -22;
	slots[i] = v;
	return 0;
}
__attribute__((section(".init.text"))) int setup(void)
{
	slots = zalloc(64);
	limit = 64;
	return 0;
}
