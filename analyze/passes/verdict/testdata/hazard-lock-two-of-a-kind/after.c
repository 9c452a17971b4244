// want: KLP401 note move_page
// want: KLP402 note move_page
// cflags: -g
// cflags: -mno-sse
// text: two locks of one kind
struct lru { int lock; long n; }; struct page { struct lru *lru; int refs; };
extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
int move_page(struct page *p, struct lru *to, int n)
{
	struct lru *from = p->lru;
	if (from == to)
		return -22;
	_raw_spin_lock(&from->lock);
	_raw_spin_lock(&to->lock);
	if (n > 512)
		goto out;
	p->lru = to;
	from->n -= n;
	to->n += n;
	_raw_spin_unlock(&to->lock);
	_raw_spin_unlock(&from->lock);
	return 0;
out:
	_raw_spin_unlock(&to->lock);
	_raw_spin_unlock(&from->lock);
	return -22;
}
