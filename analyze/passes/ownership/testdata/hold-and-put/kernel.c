typedef struct { int refs; } refcount_t; struct obj { void *data; refcount_t ref; int dead; }; struct wait { int state; };
extern void kfree(const void *); extern void refcount_warn_saturate(refcount_t *, int); extern int pause(struct wait *); extern void obj_put(struct obj *); extern int obj_hold(struct obj *);
static inline __attribute__((always_inline)) int put(refcount_t *r) { int old = __sync_fetch_and_add(&r->refs, -1); if (old == 1) return 1; if (old <= 0) refcount_warn_saturate(r, 3); return 0; }
void obj_put(struct obj *o) { if (put(&o->ref)) { kfree(o->data); kfree(o); } }
int obj_hold(struct obj *o) { int old = *(volatile int *)&o->ref.refs; do { if (!old) break; } while (!__atomic_compare_exchange_n(&o->ref.refs, &old, old + 1, 0, 5, 5)); if (old < 0 || old + 1 < 0) refcount_warn_saturate(&o->ref, 0); return old; }
