#include <linux/tiny.h>

int core_limit = 10;
static int seen;

static noinline int clamp_value(int v)
{
	seen++;
	return v > core_limit ? core_limit : v;
}

noinline int core_value(int v)
{
	return clamp_value(v) + 1;
}
EXPORT_SYMBOL(core_value);

noinline void queue_begin(struct queue *q)
{
	q->len++;
}

noinline void queue_end(struct queue *q)
{
	q->len--;
}

/* Calls both, in the same file. */
noinline int queue_use(struct queue *q)
{
	int len;

	queue_begin(q);
	len = q->len + q->limit;
	queue_end(q);
	return len;
}
