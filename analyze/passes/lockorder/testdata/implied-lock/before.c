struct mutex { int v; }; struct sem { int v; };
extern void cpus_read_lock(void); extern void cpus_read_unlock(void); extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *);
struct mutex a; int n;
int update(void) { cpus_read_lock(); mutex_lock(&a); n++; mutex_unlock(&a); cpus_read_unlock(); return n; }
