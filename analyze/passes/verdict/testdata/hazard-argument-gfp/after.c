// want: KLP401 note ctx_new
// want: KLP402 note ctx_new
// cflags: -g
// cflags: -mno-sse
struct ctx { int id; int lock; }; extern void *kmalloc(unsigned long, unsigned);
struct ctx *ctx_new(int id)
{
	struct ctx *c = kmalloc(sizeof(*c), 0xcc0);
	if (!c)
		return 0;
	c->id = id;
	return c;
}
