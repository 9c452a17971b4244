struct sk { int state; int err; int rcvbuf, used; };
int sock_ready(struct sk *sk)
{
	if (sk->err)
		return -5;
	if (sk->used > sk->rcvbuf)
		return -12;
	return 0;
}
