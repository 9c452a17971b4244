struct ring { int lock; unsigned head, tail; void *slot[16]; int full; };
extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
int ring_push(struct ring *r, void *p)
{
	_raw_spin_lock(&r->lock);
	if (r->head - r->tail == 16) {
		_raw_spin_unlock(&r->lock);
		return -28;
	}
	r->slot[r->head % 16] = p;
	r->head++;
	_raw_spin_unlock(&r->lock);
	return 0;
}
