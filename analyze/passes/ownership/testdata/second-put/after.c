// want: KLP207 warning unlink
// text: gives up arg0 by obj_put: once before, twice on a path after
typedef struct { int refs; } refcount_t; struct obj { void *data; refcount_t ref; struct obj *peer; };
extern void kfree(const void *); extern void kvfree(const void *); extern void refcount_warn_saturate(refcount_t *, int); extern void note(struct obj *, int);
static inline __attribute__((always_inline)) void get(refcount_t *r) { int old = __sync_fetch_and_add(&r->refs, 1); if (!old) refcount_warn_saturate(r, 2); else if (old < 0) refcount_warn_saturate(r, 1); }
static inline __attribute__((always_inline)) int put(refcount_t *r) { int old = __sync_fetch_and_add(&r->refs, -1); if (old == 1) return 1; if (old <= 0) refcount_warn_saturate(r, 3); return 0; }
static __attribute__((noinline)) void obj_put(struct obj *o) { if (o && put(&o->ref)) { kfree(o->data); kfree(o); } }
void unlink(struct obj *o, int c) { note(o, c); obj_put(o); if (c) obj_put(o); }
