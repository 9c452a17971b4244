// want: nothing
typedef struct { int v; } spinlock_t; typedef struct { int v; } rwlock_t;
struct foo { int state; spinlock_t lock; rwlock_t tree; };
extern void _raw_spin_lock(spinlock_t *); extern void _raw_spin_unlock(spinlock_t *); extern void _raw_write_lock(rwlock_t *); extern void _raw_write_unlock(rwlock_t *);
extern int __cond_resched_lock(spinlock_t *); extern int __cond_resched_rwlock_write(rwlock_t *); extern void msleep(unsigned int); extern int pause_unlocked(struct foo *);
int caller(struct foo *f) { int r; _raw_spin_lock(&f->lock); r = pause_unlocked(f); f->state++; _raw_spin_unlock(&f->lock); return r; }
