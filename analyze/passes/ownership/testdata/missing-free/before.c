void kfree(const void *p);

struct buffer { void *data; int len; };

void clear(struct buffer *b)
{
	kfree(b->data);
	b->len = 0;
}
