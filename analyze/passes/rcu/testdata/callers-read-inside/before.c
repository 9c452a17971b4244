struct item { struct item *next; int key, value; };
struct table { struct item *head; int n; };
extern void __rcu_read_lock(void); extern void __rcu_read_unlock(void); extern void synchronize_rcu(void); extern void kvfree_call_rcu(void *, void *); extern void kfree(void *);
extern void call_rcu(void *, void (*)(void *)); extern void synchronize_net(void);
static __attribute__((noinline)) int peek(struct table *t) { int r; t->n++; __rcu_read_lock(); r = t->head->value; __rcu_read_unlock(); return r; }
int look(struct table *t) { __rcu_read_lock(); int r = peek(t) + 1; __rcu_read_unlock(); return r; }
