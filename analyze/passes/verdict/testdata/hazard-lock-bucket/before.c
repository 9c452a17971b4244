struct bucket { int lock; int n; void *first; }; extern struct bucket buckets[64];
struct ino { unsigned long nr; void *next; }; extern void _raw_spin_lock(int *); extern void _raw_spin_unlock(int *);
void ino_hash_add(struct ino *i)
{
	struct bucket *b = &buckets[i->nr & 63];
	_raw_spin_lock(&b->lock);
	i->next = b->first;
	b->first = i;
	b->n++;
	_raw_spin_unlock(&b->lock);
}
