// want: KLP401 given slot_store
// want: KLP402 given slot_store
// cflags: -g
// cflags: -mno-sse
struct slot { int lock; unsigned n; unsigned char used[32]; unsigned val[32]; }; extern void mutex_lock(int *); extern void mutex_unlock(int *);
long slot_store(struct slot *s, unsigned i, unsigned val)
{
	long ret = -22;
	mutex_lock(&s->lock);
	if (i >= s->n)
		goto out_unlock;
	if (!s->used[i & 31])
		goto out_unlock;
	s->val[i & 31] = val;
	ret = 0;
out_unlock:
	mutex_unlock(&s->lock);
	return ret;
}
