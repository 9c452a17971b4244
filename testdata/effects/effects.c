// Functions with every kind of lock effect, in the manner of the kernel.
// A comment "want NAME: ..." says what the analysis must find; see locks_test.go
// for the words. Regenerate the object with go generate.

typedef struct { int v; } spinlock_t;
struct mutex { long owner; };
struct rwsem { long count; };
struct srcu { int x; };
#define NULL ((void *)0)
#define noinline __attribute__((noinline))

void _raw_spin_lock(spinlock_t *);
void _raw_spin_unlock(spinlock_t *);
int _raw_spin_trylock(spinlock_t *);
unsigned long _raw_spin_lock_irqsave(spinlock_t *);
void _raw_spin_unlock_irqrestore(spinlock_t *, unsigned long);
void _raw_spin_lock_irq(spinlock_t *);
void _raw_spin_unlock_irq(spinlock_t *);
void _raw_spin_lock_bh(spinlock_t *);
void mutex_lock(struct mutex *);
int mutex_lock_interruptible(struct mutex *);
int mutex_trylock(struct mutex *);
void mutex_unlock(struct mutex *);
void down_read(struct rwsem *);
void up_read(struct rwsem *);
void down_write(struct rwsem *);
int down_write_killable(struct rwsem *);
void downgrade_write(struct rwsem *);
void __rcu_read_lock(void);
void __rcu_read_unlock(void);
int __srcu_read_lock(struct srcu *);
int work(void *);
void *find(int);
int fails(void);

struct object {
	long id;
	spinlock_t lock;
	struct mutex mutex;
	struct object *next;
	int flags;
};

spinlock_t table_lock;
struct mutex table_mutex;
struct rwsem table_sem;
struct object *table[16];

// want take: +spin:arg0+0x8
void take(struct object *o) { _raw_spin_lock(&o->lock); }

// want give: -spin:arg0+0x8
void give(struct object *o) { _raw_spin_unlock(&o->lock); }

// want balanced: neutral
int balanced(struct object *o)
{
	_raw_spin_lock(&o->lock);
	o->id = work(o);
	_raw_spin_unlock(&o->lock);
	return o->id > 3;
}

// A path that forgets to unlock.
// want leaks_on_error: +spin:arg0+0x8 returns negative
int leaks_on_error(struct object *o)
{
	_raw_spin_lock(&o->lock);
	if (fails())
		return -5;
	_raw_spin_unlock(&o->lock);
	return 0;
}

// want locks_global: +mutex:table_mutex
void locks_global(void) { mutex_lock(&table_mutex); }

// want try_object: +spin:arg0+0x8 returns nonzero
int try_object(struct object *o) { return _raw_spin_trylock(&o->lock); }

// want try_inverted: +spin:arg0+0x8 returns zero
int try_inverted(struct object *o) { return !_raw_spin_trylock(&o->lock); }

// want interruptible: +mutex:arg0+0x10 returns zero
int interruptible(struct object *o)
{
	int err = mutex_lock_interruptible(&o->mutex);

	if (err)
		return err;
	o->flags |= 1;
	return 0;
}

// want interruptible_all: neutral
int interruptible_all(struct object *o)
{
	int err = interruptible(o);

	if (err)
		return err;
	work(o);
	mutex_unlock(&o->mutex);
	return 0;
}

// want by_argument: +mutex:arg0+0x10 when arg1
void by_argument(struct object *o, int lock)
{
	if (lock)
		mutex_lock(&o->mutex);
	o->id++;
}

// The flag is tested twice.
// want same_condition: neutral
void same_condition(struct object *o, int lock)
{
	if (lock)
		mutex_lock(&o->mutex);
	work(o);
	if (lock)
		mutex_unlock(&o->mutex);
}

// want irqsave: neutral
void irqsave(struct object *o)
{
	unsigned long flags = _raw_spin_lock_irqsave(&o->lock);

	o->id++;
	_raw_spin_unlock_irqrestore(&o->lock, flags);
}

// want irqsave_out: +spin:arg0+0x8 context +irq
void irqsave_out(struct object *o, unsigned long *flags) { *flags = _raw_spin_lock_irqsave(&o->lock); }

// want unlock_irq: -spin:arg0+0x8 context -irq
void unlock_irq(struct object *o) { _raw_spin_unlock_irq(&o->lock); }

// want lock_bh: +bh +spin:arg0+0x8
void lock_bh(struct object *o) { _raw_spin_lock_bh(&o->lock); }

// want read_side: +rwsem-read:table_sem
void read_side(void) { down_read(&table_sem); }

// want killable: +rwsem-write:table_sem returns zero
int killable(void)
{
	if (down_write_killable(&table_sem))
		return -4;
	return 0;
}

// want downgrades: +rwsem-read:table_sem -rwsem-write:table_sem
void downgrades(void) { downgrade_write(&table_sem); }

// want rcu_enter: +rcu
void rcu_enter(void) { __rcu_read_lock(); }

// want srcu_enter: +srcu:arg0
int srcu_enter(struct srcu *s) { return __srcu_read_lock(s); }

// want through_pointer: +spin:*(arg0+0x18)+0x8
void through_pointer(struct object *o) { _raw_spin_lock(&o->next->lock); }

// want returned: +spin:ret+0x8 returns nonnull
struct object *returned(int n)
{
	struct object *o = find(n);

	if (o)
		_raw_spin_lock(&o->lock);
	return o;
}

// Whose lock it is cannot be said; that one is taken can.
// want unknown_identity: +spin:?+0x8
void unknown_identity(int n)
{
	struct object *o = find(n);

	_raw_spin_lock(&o->lock);
}

// want own_frame: neutral
void own_frame(void)
{
	struct object o;

	take(&o);
	work(&o);
}

// want other_lock: +spin:arg0+0x8 -spin:arg1+0x8
void other_lock(struct object *a, struct object *b)
{
	_raw_spin_lock(&a->lock);
	work(a);
	_raw_spin_unlock(&b->lock);
}

// want drops: +spin:arg0+0x8 -spin:arg0+0x8 drops spin:arg0+0x8
void drops(struct object *o)
{
	_raw_spin_unlock(&o->lock);
	work(o);
	_raw_spin_lock(&o->lock);
}

// want drops_in_callee: drops spin:*(arg0+0x18)+0x8
noinline void drops_in_callee(struct object *o)
{
	o->flags = 1;
	drops(o->next);
	o->flags = 0;
}

// want holds_around: neutral
void holds_around(struct object *o)
{
	_raw_spin_lock(&o->lock);
	drops(o);
	_raw_spin_unlock(&o->lock);
}

// want loop_balanced: neutral
int loop_balanced(struct object *o)
{
	int n = 0;

	for (; o; o = o->next) {
		_raw_spin_lock(&o->lock);
		n += o->flags;
		_raw_spin_unlock(&o->lock);
	}
	return n;
}

// Returns from within the loop with the element's lock held.
// want loop_find: +spin:ret+0x8 returns nonnull
struct object *loop_find(struct object *o, int id)
{
	for (; o; o = o->next) {
		_raw_spin_lock(&o->lock);
		if (o->id == id)
			return o;
		_raw_spin_unlock(&o->lock);
	}
	return NULL;
}

// want loop_retries: +mutex:arg0+0x10
void loop_retries(struct object *o)
{
	for (;;) {
		mutex_lock(&o->mutex);
		if (!o->flags)
			break;
		mutex_unlock(&o->mutex);
		work(o);
	}
}

// As many locks as there are elements.
// want locks_all: unknown
void locks_all(int n)
{
	int i;

	for (i = 0; i < n; i++)
		_raw_spin_lock(&table[i]->lock);
}

// Nothing tells the caller, nor a reader of memory, what happened.
// want disagrees: possible +mutex:arg0+0x10 unknown
void disagrees(struct object *o)
{
	if (fails())
		mutex_lock(&o->mutex);
	__rcu_read_lock(); // so that what fails() returned is not returned
	__rcu_read_unlock();
}

// Memory as it was at entry tells.
// want by_memory: +mutex:arg0+0x10 unknown
void by_memory(struct object *o)
{
	if (o->flags & 4)
		mutex_lock(&o->mutex);
}

// A word stored for the caller tells.
// want by_out: +mutex:arg0+0x10 unknown
void by_out(struct object *o, int *locked)
{
	*locked = 0;
	if (fails()) {
		mutex_lock(&o->mutex);
		*locked = 1;
	}
	__rcu_read_lock();
	__rcu_read_unlock();
}

#define IS_ERR(p) ((unsigned long)(p) >= (unsigned long)-4095)

// want or_error: +mutex:ret+0x10 returns nonnull
struct object *or_error(int n)
{
	struct object *o = find(n);
	int err;

	if (!o)
		return (void *)-2L;
	err = mutex_lock_interruptible(&o->mutex);
	if (err)
		return (void *)(long)err;
	return o;
}

// want uses_or_error: neutral
long uses_or_error(int n)
{
	struct object *o = or_error(n);

	if (IS_ERR(o))
		return (long)o;
	work(o);
	mutex_unlock(&o->mutex);
	return 0;
}

// A displacement of four bytes that is negative.
struct outer { char pad[0x400]; spinlock_t lock; char more[0x400]; long member; };
// want negative_offset: -spin:arg0-0x408
void negative_offset(long *member)
{
	struct outer *o = (void *)((char *)member - __builtin_offsetof(struct outer, member));

	_raw_spin_unlock(&o->lock);
}

// want wraps: +spin:table_lock
noinline void wraps(void)
{
	_raw_spin_lock(&table_lock);
	work(NULL);
}

// want tail_call: +spin:table_lock
void tail_call(void)
{
	table[0] = NULL;
	wraps();
}

// want recursive: neutral
noinline int recursive(struct object *o, int depth)
{
	int n;

	if (!o)
		return depth;
	_raw_spin_lock(&o->lock);
	n = recursive(o->next, depth + 1) + o->flags;
	_raw_spin_unlock(&o->lock);
	return n;
}

// The lock's address is stored where the caller finds it, and released through
// that word.
// want stored_name: neutral
void stored_name(spinlock_t **where, struct object *o)
{
	*where = &o->lock;
	_raw_spin_lock(&o->lock);
	work(o);
	_raw_spin_unlock(*where);
}

// want never_returns: never
__attribute__((noreturn)) void never_returns(struct object *o)
{
	_raw_spin_lock(&o->lock);
	for (;;)
		work(o);
}
