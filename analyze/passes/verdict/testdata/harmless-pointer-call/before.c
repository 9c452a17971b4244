struct ops { int (*prepare)(void *); int (*run)(void *, int); }; struct obj { const struct ops *ops; int state; int err; };
int op_run(struct obj *o, int arg)
{
	int err;
	err = o->ops->prepare(o);
	if (err)
		return err;
	o->state = 2;
	err = o->ops->run(o, arg);
	if (err)
		o->err = err;
	return err;
}
