struct lru { int lock; long n; }; struct page { struct lru *lru; int refs; };
extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
int move_page(struct page *p, struct lru *to, int n)
{
	struct lru *from = p->lru;
	if (from == to)
		return -22;
	_raw_spin_lock(&from->lock);
	_raw_spin_lock(&to->lock);
	p->lru = to;
	from->n -= n;
	to->n += n;
	_raw_spin_unlock(&to->lock);
	_raw_spin_unlock(&from->lock);
	return 0;
}
