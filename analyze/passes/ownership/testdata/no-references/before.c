typedef struct { int refs; } refcount_t; typedef struct { int v; } spinlock_t;
extern void kfree(const void *); extern void refcount_warn_saturate(refcount_t *, int);
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *);
static inline __attribute__((always_inline)) void get(refcount_t *r) { int old = __sync_fetch_and_add(&r->refs, 1); if (!old) refcount_warn_saturate(r, 2); else if (old < 0) refcount_warn_saturate(r, 1); }
static inline __attribute__((always_inline)) int put(refcount_t *r) { int old = __sync_fetch_and_add(&r->refs, -1); if (old == 1) return 1; if (old <= 0) refcount_warn_saturate(r, 3); return 0; }
struct holder { struct holder *next; int owner; int flags; refcount_t ref; }; struct state { spinlock_t lock; struct holder *first; int flags; };
static __attribute__((noinline)) void holder_put(struct holder *h) { if (put(&h->ref)) kfree(h); }
static inline struct holder *find(struct state *s, int a, int b) { struct holder *h, *found = 0; for (h = s->first; h; h = h->next) { if (h->owner == a) { found = h; break; } if (h->owner == b) found = h; } return found; }
int lost(struct state *s, int a, int b) { int r = -2; struct holder *h; if (!(s->flags & 1)) return r; _raw_spin_lock(&s->lock); h = find(s, a, b); if (h) get(&h->ref); if (h && h->flags & 2) r = -5; else if (h && h->flags & 1) r = 0; _raw_spin_unlock(&s->lock); if (h) holder_put(h); return r; }
