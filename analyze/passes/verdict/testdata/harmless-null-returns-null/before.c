struct c { struct c *owner; int ref; void *priv; }; struct f { struct c *ctx; int flags; };
void *ctx_of(struct f *f)
{
	struct c *c = f->ctx;
	return c->owner->priv;
}
