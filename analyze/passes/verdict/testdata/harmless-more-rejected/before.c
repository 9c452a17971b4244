struct opt { int level, val; int lock; }; extern void lock_sock_nested(void *, int); extern void release_sock(void *);
int opt_set(struct opt *o, int level, int val)
{
	int err = -92;
	lock_sock_nested(o, 0);
	if (level < 0)
		goto out;
	o->level = level;
	o->val = val;
	err = 0;
out:
	release_sock(o);
	return err;
}
