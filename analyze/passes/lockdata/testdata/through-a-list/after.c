// want: KLP202 warning reset
// text: under spin:arg0+0x8 after
typedef struct { int v; } spinlock_t; struct queue { int n; spinlock_t lock; }; struct item { struct item *next; struct queue *q; int count; }; struct group { struct item *items; spinlock_t lock; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *);
void reset(struct group *g) { _raw_spin_lock(&g->lock); for (struct item *i = g->items; i; i = i->next) i->count = 0; _raw_spin_unlock(&g->lock); }
