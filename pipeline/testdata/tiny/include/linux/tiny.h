#ifndef TINY_H
#define TINY_H

#define noinline __attribute__((noipa))

#ifdef __GENKSYMS__
/* genksyms reads the name of the symbol. */
#else
#define EXPORT_SYMBOL(name) extern __typeof__(name) name
#endif

typedef struct lock { int taken; } spinlock_t;

struct queue {
	spinlock_t lock;
	int len;
	int limit;
};

void _raw_spin_lock(spinlock_t *lock);
void _raw_spin_unlock(spinlock_t *lock);

int core_value(int v);
void queue_begin(struct queue *q);
void queue_end(struct queue *q);
int queue_use(struct queue *q);

#endif
