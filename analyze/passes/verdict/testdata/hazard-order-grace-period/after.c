// want: KLP401 note route_del
// want: KLP402 note route_del
// cflags: -g
// cflags: -mno-sse
struct rt { struct rt *next; int dst; }; extern struct rt *routes; extern int route_lock;
extern void mutex_lock(int *); extern void mutex_unlock(int *); extern void synchronize_rcu(void); extern void kfree(const void *);
int route_del(int dst)
{
	struct rt **p, *r;
	mutex_lock(&route_lock);
	for (p = &routes; (r = *p); p = &r->next)
		if (r->dst == dst)
			break;
	if (!r) {
		mutex_unlock(&route_lock);
		return -3;
	}
	synchronize_rcu();
	*p = r->next;
	mutex_unlock(&route_lock);
	kfree(r);
	return 0;
}
