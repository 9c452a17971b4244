struct req { int status; int done; void *wait; }; extern void wake_up(void *);
void req_complete(struct req *r, int status)
{
	r->status = status;
	r->done = 1;
	wake_up(&r->wait);
}
