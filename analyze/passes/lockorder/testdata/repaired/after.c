// want: nothing
struct mutex { int v; };
struct foo { int state; struct mutex lock, other; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int mutex_trylock(struct mutex *);
struct mutex a, b; int n;
int reverse(void) { mutex_lock(&b); mutex_lock(&a); n++; mutex_unlock(&a); mutex_unlock(&b); return 2; }
int update(void) { mutex_lock(&b); mutex_lock(&a); n++; mutex_unlock(&a); mutex_unlock(&b); return n; }
