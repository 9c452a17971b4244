// want: KLP203 error update
// text: percpu-rwsem-write:cpu_hotplug_lock
struct mutex { int v; }; struct sem { int v; };
extern void cpus_read_lock(void); extern void cpus_read_unlock(void); extern void mutex_lock(struct mutex *); extern void mutex_unlock(struct mutex *);
struct mutex a; int n;
int update(void) { mutex_lock(&a); cpus_read_lock(); n++; cpus_read_unlock(); mutex_unlock(&a); return n; }
