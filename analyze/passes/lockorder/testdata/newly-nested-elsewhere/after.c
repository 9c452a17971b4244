// want: KLP203 unknown update
// text: the rest of the kernel takes them the other way round: outer -> middle -> deep
struct mutex { int v; };
struct foo { int state; struct mutex lock, other; };
extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *); extern int mutex_trylock(struct mutex *);
extern struct mutex a, b; extern int n;
int update(void) { mutex_lock(&b); mutex_lock(&a); n++; mutex_unlock(&a); mutex_unlock(&b); return n; }
