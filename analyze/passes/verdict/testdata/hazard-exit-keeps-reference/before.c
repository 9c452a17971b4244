struct ep { int id; int state; }; extern struct ep *ep_get(int id); extern void ep_put(struct ep *); extern int ep_attach(struct ep *, int);
int ep_bind(int id, int to)
{
	struct ep *e;
	int err;
	if (to < 0)
		return -22;
	e = ep_get(id);
	if (!e)
		return -2;
	err = ep_attach(e, to);
	ep_put(e);
	return err;
}
