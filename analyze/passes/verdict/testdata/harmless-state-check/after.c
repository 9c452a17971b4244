// want: KLP401 given tty_send
// want: KLP402 given tty_send
// cflags: -g
// cflags: -mno-sse
struct tty { int lock; int closing; int hung; char *buf; int n; }; extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
int tty_send(struct tty *t, char c)
{
	_raw_spin_lock(&t->lock);
	if (t->closing) {
		_raw_spin_unlock(&t->lock);
		return -5;
	}
	if (t->hung) {
		_raw_spin_unlock(&t->lock);
		return -5;
	}
	t->buf[t->n++] = c;
	_raw_spin_unlock(&t->lock);
	return 0;
}
