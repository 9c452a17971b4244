struct mutex { int v; };
struct foo { int state; struct mutex lock, other; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int mutex_trylock(struct mutex *);
int update(struct foo *f) { mutex_lock(&f->lock); mutex_lock(&f->other); f->state++; mutex_unlock(&f->other); mutex_unlock(&f->lock); return 0; }
