struct request;
extern void schedule(void); extern int done(struct request *);
extern int fuse_simple_request(void *mount, struct request *req);
int lookup(void *mount, struct request *req, long *to)
{
	int err = fuse_simple_request(mount, req);

	if (err)
		return err;
	*to = 1;
	return 8;
}
