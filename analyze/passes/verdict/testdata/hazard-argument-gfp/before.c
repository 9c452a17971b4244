struct ctx { int id; int lock; }; extern void *kmalloc(unsigned long, unsigned);
struct ctx *ctx_new(int id)
{
	struct ctx *c = kmalloc(sizeof(*c), 0xa20);
	if (!c)
		return 0;
	c->id = id;
	return c;
}
