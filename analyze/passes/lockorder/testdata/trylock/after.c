// want: nothing
struct mutex { int v; };
struct foo { int state; struct mutex lock, other; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int mutex_trylock(struct mutex *);
struct mutex a, b; int n;
int update(void) { mutex_lock(&b); if (!mutex_trylock(&a)) { mutex_unlock(&b); return -11; } n++; mutex_unlock(&a); mutex_unlock(&b); return n; }
