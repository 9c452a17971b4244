// want: KLP102 warning setup
// want: KLP401 note obj_check
// want: KLP402 note obj_check
// cflags: -g
// cflags: -mno-sse
// text: KLP102
struct obj { int len, kind; char data[]; }; extern void *kmem_cache_create(const char *, unsigned, unsigned); extern void *cache;
int obj_check(struct obj *o, int len)
{
	if (o->kind != 3)
		return -22;
	if (len < 0)
		return -22;
	o->len = len;
	return 0;
}
__attribute__((section(".init.text"))) int setup(void)
{
	cache = kmem_cache_create("obj", 128, 0);
	return cache ? 0 : -12;
}
