// want: nothing
/* A reconstruction: upstream moved a lock from the callers into the function in
 * two commits; a backport took the first without the second. */
struct mutex { int v; };
struct ctx { int opened; struct mutex mutex; };
struct dev { struct ctx *ctx; struct mutex lock; int n; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *);
extern int start(struct dev *, int); extern void stop(struct dev *, int);
__attribute__((noinline)) int set_state(struct dev *d, int id) { struct ctx *c = d->ctx; int r = -19; mutex_lock(&c->mutex); if (c->opened) r = start(d, id); mutex_unlock(&c->mutex); return r; }
int dev_open(struct dev *d, int id) { int r; d->n++; r = set_state(d, id); return r; }
int dev_reset(struct dev *d, int id) { int r; stop(d, id); r = set_state(d, id); return r; }
int dev_resume(struct dev *d, int id) { return set_state(d, id); }
