// want: KLP301 warning lookup
// text: lookup → fuse_simple_request waits in schedule (killable, for a program)
// text: no signal wakes them but a fatal one
struct request;
extern void schedule(void); extern int done(struct request *);
__attribute__((noinline)) int fuse_simple_request(void *mount, struct request *req) {
	while (!done(req))
		schedule();
	return done(req);
}
int lookup(void *mount, struct request *req, long *to)
{
	int err = fuse_simple_request(mount, req);

	if (err)
		return err;
	*to = 2;
	return 8;
}
