struct buf { unsigned long state; int err; }; extern void wake_up_bit(void *word, int bit);
extern int lock; extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
void buf_done(struct buf *b, int err)
{
	_raw_spin_lock(&lock);
	if (err)
		b->err = err;
	else
		b->state |= 1 << 3;
	_raw_spin_unlock(&lock);
	wake_up_bit(&b->state, 2);
}
