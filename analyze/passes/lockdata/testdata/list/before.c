typedef struct { int v; } rwlock_t; struct fs { struct fs *next; };
extern void _raw_write_lock(rwlock_t *); extern void _raw_write_unlock(rwlock_t *);
rwlock_t a, b; static struct fs *list;
static struct fs **find(struct fs *f) { struct fs **p; for (p = &list; *p; p = &(*p)->next) if (*p == f) break; return p; }
int add(struct fs *f) { struct fs **p; _raw_write_lock(&a); p = find(f); *p = f; _raw_write_unlock(&a); return 0; }
