struct vq { int lock; int broken; unsigned idx, num; unsigned ring[16]; }; extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
extern int notify(struct vq *);
int vq_kick(struct vq *q, unsigned id)
{
	if (id >= 4096)
		return -5;
	_raw_spin_lock(&q->lock);
	q->ring[q->idx & 15] = id;
	q->idx++;
	_raw_spin_unlock(&q->lock);
	return notify(q);
}
