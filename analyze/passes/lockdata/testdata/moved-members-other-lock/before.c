typedef struct { int v; } spinlock_t; struct item { struct item *next; int n; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *);
struct foo { int state; struct item *list; spinlock_t lock; }; spinlock_t big; int count(struct foo *f) { int n = 0; _raw_spin_lock(&f->lock); for (struct item *i = f->list; i; i = i->next) n += i->n; f->state = n; _raw_spin_unlock(&f->lock); return n; }
