// want: KLP401 note sk_set_timeout
// want: KLP402 note sk_set_timeout
// cflags: -g
// cflags: -mno-sse
struct sock { int state; long rcvtimeo; long sndtimeo; };
extern void lock_sock_nested(struct sock *sk, int sub); extern void release_sock(struct sock *sk);
int sk_set_timeout(struct sock *sk, long sec, long usec)
{
	if (usec < 0 || usec >= 1000000)
		return -33;
	lock_sock_nested(sk, 0);
	sk->rcvtimeo = sec * 1000 + usec / 1000;
	release_sock(sk);
	return 0;
}
