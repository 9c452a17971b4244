// want: KLP203 error both
typedef struct { int v; } spinlock_t; struct node { struct node *next; spinlock_t lock; int id; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *);
extern spinlock_t table[64]; extern int work(struct node *, struct node *);
int both(struct node *a, struct node *b) { if (a < b) { struct node *t = a; a = b; b = t; } _raw_spin_lock(&a->lock); if (a != b) _raw_spin_lock(&b->lock); work(a, b); _raw_spin_unlock(&a->lock); _raw_spin_unlock(&b->lock); return 0; }
