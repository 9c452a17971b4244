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
	*p = r->next;
	mutex_unlock(&route_lock);
	synchronize_rcu();
	kfree(r);
	return 0;
}
