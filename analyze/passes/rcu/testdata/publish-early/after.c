// want: KLP211 warning add
// text: publishes an object before all of it has its values
struct item { struct item *next, *prev; int key, value; void *data; };
struct table { struct item *head; void *handler, *data; int n, gone; };
extern void synchronize_rcu(void); extern void kfree(void *); extern void *kmalloc(unsigned long); extern void call_rcu(void *, void (*)(void *)); extern void item_free(void *);
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
#define rcu_assign_pointer(p, v) do { __asm__ __volatile__("" ::: "memory"); WRITE_ONCE(p, v); } while (0)
int add(struct table *t, int key) { struct item *i = kmalloc(40); i->next = t->head; i->data = t; rcu_assign_pointer(t->head, i); i->key = key; return 0; }
