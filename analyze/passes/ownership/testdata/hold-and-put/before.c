typedef struct { int refs; } refcount_t; struct obj { void *data; refcount_t ref; int dead; }; struct wait { int state; };
extern void kfree(const void *); extern void refcount_warn_saturate(refcount_t *, int); extern int pause(struct wait *); extern void obj_put(struct obj *); extern int obj_hold(struct obj *);
int waits(struct wait *w, struct obj *o) { int r; while (!(r = pause(w))) w->state++; return r; }
