// want: KLP203 error update
// text: new code holds mutex:b and takes mutex:a
// text: old code holds mutex:a and takes mutex:b
struct mutex { int v; };
struct foo { int state; struct mutex lock, other; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int mutex_trylock(struct mutex *);
struct mutex a, b; int n;
int update(void) { mutex_lock(&b); mutex_lock(&a); n++; mutex_unlock(&a); mutex_unlock(&b); return n; }
