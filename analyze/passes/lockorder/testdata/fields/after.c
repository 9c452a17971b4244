// want: KLP203 error update
// text: mutex:arg0+0x8
struct mutex { int v; };
struct foo { int state; struct mutex lock, other; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int mutex_trylock(struct mutex *);
int update(struct foo *f) { mutex_lock(&f->other); mutex_lock(&f->lock); f->state++; mutex_unlock(&f->lock); mutex_unlock(&f->other); return 0; }
