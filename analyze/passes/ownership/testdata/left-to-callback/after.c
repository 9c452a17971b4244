// want: KLP207 unknown drop
typedef struct { int refs; } refcount_t; struct obj { void *data; refcount_t ref; struct obj *peer; };
extern void kfree(const void *); extern void kvfree(const void *); extern void refcount_warn_saturate(refcount_t *, int); extern void note(struct obj *, int);
static inline __attribute__((always_inline)) void get(refcount_t *r) { int old = __sync_fetch_and_add(&r->refs, 1); if (!old) refcount_warn_saturate(r, 2); else if (old < 0) refcount_warn_saturate(r, 1); }
static inline __attribute__((always_inline)) int put(refcount_t *r) { int old = __sync_fetch_and_add(&r->refs, -1); if (old == 1) return 1; if (old <= 0) refcount_warn_saturate(r, 3); return 0; }
static __attribute__((noinline)) void obj_put(struct obj *o) { if (o && put(&o->ref)) { kfree(o->data); kfree(o); } }
extern void call_rcu(void *, void (*)(void *)); static void later(void *p) { struct obj *o = p; obj_put(o->peer); kfree(o); } void drop(struct obj *o) { call_rcu(o, later); }
