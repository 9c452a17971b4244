// want: KLP401 note swap_entries
// want: KLP402 note swap_entries
// cflags: -g
// cflags: -mno-sse
struct ent { int lock; int val; }; extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
void swap_entries(struct ent *a, struct ent *b)
{
	int t;
	if (a > b) {
		_raw_spin_lock(&a->lock);
		_raw_spin_lock(&b->lock);
	} else {
		_raw_spin_lock(&b->lock);
		_raw_spin_lock(&a->lock);
	}
	t = a->val;
	a->val = b->val;
	b->val = t;
	_raw_spin_unlock(&a->lock);
	_raw_spin_unlock(&b->lock);
}
