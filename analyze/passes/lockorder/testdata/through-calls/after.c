// want: KLP203 error update
// text: update -> inner2 -> mutex_lock
// text: stays -> inner -> mutex_lock
// text: and after it
struct mutex { int v; };
struct foo { int state; struct mutex lock, other; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int mutex_trylock(struct mutex *);
struct mutex a, b; int n;
__attribute__((noinline)) static int inner(void) { mutex_lock(&b); n++; mutex_unlock(&b); return n; }
__attribute__((noinline)) static int inner2(void) { mutex_lock(&a); n++; mutex_unlock(&a); return n; }
int stays(void) { mutex_lock(&a); int r = inner(); mutex_unlock(&a); return r; }
int update(void) { mutex_lock(&b); int r = inner2(); mutex_unlock(&b); return r; }
