typedef struct { int v; } spinlock_t; struct queue { int n; spinlock_t lock; }; struct item { struct item *next; struct queue *q; int count; }; struct group { struct item *items; spinlock_t lock; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *);
void reset(struct group *g) { for (struct item *i = g->items; i; i = i->next) { _raw_spin_lock(&i->q->lock); i->count = 0; _raw_spin_unlock(&i->q->lock); } }
