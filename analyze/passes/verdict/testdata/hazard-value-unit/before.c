struct sock { int state; long rcvtimeo; long sndtimeo; };
extern void lock_sock_nested(struct sock *sk, int sub); extern void release_sock(struct sock *sk);
int sk_set_timeout(struct sock *sk, long sec, long usec)
{
	if (usec < 0 || usec >= 1000000)
		return -33;
	lock_sock_nested(sk, 0);
	sk->rcvtimeo = sec * 250 + usec / 4000;
	release_sock(sk);
	return 0;
}
