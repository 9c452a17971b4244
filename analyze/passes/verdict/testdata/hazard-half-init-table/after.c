// want: KLP102 warning setup
// want: KLP401 note bucket_of
// want: KLP402 note bucket_of
// cflags: -g
// cflags: -mno-sse
// text: KLP102
extern void *alloc_table(unsigned long n); static void **table __attribute__((used)); extern unsigned long nr;
void **bucket_of(unsigned long key, unsigned long max)
{
	if (key > max)
		return (void **)-22;
	return &table[key & 511];
}
__attribute__((section(".init.text"))) int setup(void)
{
	table = alloc_table(512);
	return table ? 0 : -12;
}
