struct mutex { int v; };
struct foo { int state; struct mutex lock, other; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int mutex_trylock(struct mutex *);
struct mutex a, b; int n;
__attribute__((noinline)) static int deep(void) { mutex_lock(&b); n++; mutex_unlock(&b); return n; }
__attribute__((noinline)) static int middle(void) { return deep() + 1; }
int outer(void) { mutex_lock(&a); int r = middle(); mutex_unlock(&a); return r; }
