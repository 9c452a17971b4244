#include <linux/tiny.h>
#include <linux/factor.h>

/* Calls both, in another file. */
noinline int lib_use(struct queue *q)
{
	int limit;

	queue_begin(q);
	limit = q->limit * 2;
	queue_end(q);
	return limit;
}

int lib_other(int v)
{
	return core_value(v) * 2;
}

int lib_factor(int v)
{
	return v * FACTOR;
}
