// want: KLP401 given acl_add
// want: KLP402 given acl_add
// cflags: -g
// cflags: -mno-sse
struct acl { int lock; int n; int id[16]; }; extern void mutex_lock(int *); extern void mutex_unlock(int *);
int acl_add(struct acl *a, int id)
{
	int i, err = -17;
	mutex_lock(&a->lock);
	for (i = 0; i < a->n; i++)
		if (a->id[i] == id)
			goto out;
	err = -28;
	if (a->n >= 16)
		goto out;
	err = -17;
	a->id[a->n++] = id;
	err = 0;
out:
	mutex_unlock(&a->lock);
	if (err == -28)
		return -17;
	return err;
}
