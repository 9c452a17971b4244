typedef struct { int refs; } refcount_t; struct net { int id; refcount_t count; }; struct file { struct net *net; };
extern void __put_net(struct net *); extern void refcount_warn_saturate(refcount_t *, int); extern int start(struct net *);
static inline __attribute__((always_inline)) int get(refcount_t *r) { int old = *(volatile int *)&r->refs; do { if (!old) break; } while (!__atomic_compare_exchange_n(&r->refs, &old, old + 1, 0, 5, 5)); if (old < 0 || old + 1 < 0) refcount_warn_saturate(r, 0); return old; }
static inline __attribute__((always_inline)) void put_net(struct net *n) { int old = __sync_fetch_and_add(&n->count.refs, -1); if (old == 1) __put_net(n); else if (old <= 0) refcount_warn_saturate(&n->count, 3); }
int writes(struct file *f) { int r = start(f->net); if (r) return r; return 1; }
