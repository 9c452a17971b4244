typedef struct { int v; } spinlock_t; struct node { struct node *next; spinlock_t lock; int id; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *);
extern spinlock_t table[64]; extern int work(struct node *, struct node *);
int both(unsigned a, unsigned b) { a %= 64; b %= 64; if (a <= b) { _raw_spin_lock(&table[a]); if (a != b) _raw_spin_lock(&table[b]); } else { _raw_spin_lock(&table[b]); _raw_spin_lock(&table[a]); } return 0; }
