// want: KLP401 note req_complete
// want: KLP402 note req_complete
// cflags: -g
// cflags: -mno-sse
struct req { int status; int done; void *wait; }; extern void wake_up(void *);
void req_complete(struct req *r, int status)
{
	r->status = status;
	wake_up(&r->wait);
	r->done = 1;
}
