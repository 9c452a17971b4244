// want: KLP211 error drop
// text: before: gives item_free to call_rcu
struct item { struct item *next; int key, value; };
struct table { struct item *head; int n; };
extern void __rcu_read_lock(void); extern void __rcu_read_unlock(void); extern void synchronize_rcu(void); extern void kvfree_call_rcu(void *, void *); extern void kfree(void *);
extern void call_rcu(void *, void (*)(void *)); extern void synchronize_net(void);
static __attribute__((noinline)) void item_free(void *p) { kfree(p); }
void drop(struct table *t) { struct item *i = t->head; t->head = i->next; item_free(i); if (t->n) synchronize_rcu(); }
