// want: KLP211 warning drop
struct item { struct item *next, *prev; int key, value; void *data; };
struct table { struct item *head; void *handler, *data; int n, gone; };
extern void synchronize_rcu(void); extern void kfree(void *); extern void *kmalloc(unsigned long); extern void call_rcu(void *, void (*)(void *)); extern void item_free(void *);
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
#define rcu_assign_pointer(p, v) do { __asm__ __volatile__("" ::: "memory"); WRITE_ONCE(p, v); } while (0)
extern void note(struct item *); void drop(struct table *t, struct item *i) { note(i); if (t->n) note(i); kfree(t->data); }
