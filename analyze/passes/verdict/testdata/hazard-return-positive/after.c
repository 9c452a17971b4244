// want: KLP401 note sock_ready
// want: KLP402 note sock_ready
// cflags: -g
// cflags: -mno-sse
struct sk { int state; int err; int rcvbuf, used; };
int sock_ready(struct sk *sk)
{
	if (sk->err)
		return -5;
	if (sk->state == 7)
		return 2;
	if (sk->used > sk->rcvbuf)
		return -12;
	return 0;
}
