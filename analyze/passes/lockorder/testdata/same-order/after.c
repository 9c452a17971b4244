// want: nothing
struct mutex { int v; };
struct foo { int state; struct mutex lock, other; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int mutex_trylock(struct mutex *);
struct mutex a, b; int n;
int update(void) { mutex_lock(&a); mutex_lock(&b); n += 2; mutex_unlock(&b); mutex_unlock(&a); return n; }
