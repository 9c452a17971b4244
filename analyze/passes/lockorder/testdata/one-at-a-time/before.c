typedef struct { int v; } spinlock_t; struct node { struct node *next; spinlock_t lock; int id; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *);
extern spinlock_t table[64]; extern int work(struct node *, struct node *);
int both(struct node *a, struct node *b) { if (a < b) { _raw_spin_lock(&a->lock); _raw_spin_unlock(&a->lock); } else { _raw_spin_lock(&b->lock); _raw_spin_unlock(&b->lock); } return work(a, b); }
