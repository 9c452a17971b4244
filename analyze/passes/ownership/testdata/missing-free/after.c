// want: KLP207 warning clear
// text: before: it gives up *(argument 0)
// text: other object files can call it too
void kfree(const void *p);

struct buffer { void *data; int len; };

void clear(struct buffer *b)
{
	b->len = 0;
}
