// want: KLP401 given ctx_of
// want: KLP402 given ctx_of
// cflags: -g
// cflags: -mno-sse
struct c { struct c *owner; int ref; void *priv; }; struct f { struct c *ctx; int flags; };
void *ctx_of(struct f *f)
{
	struct c *c = f->ctx;
	if (!c)
		return 0;
	return c->owner->priv;
}
