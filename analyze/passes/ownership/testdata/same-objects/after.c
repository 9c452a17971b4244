// want: nothing
extern void kfree(const void *); extern int scan(void *);
struct foo { int state; void *a, *b; };
void drop(struct foo *f);
void drop(struct foo *f)
{
	if (scan(f) > 3) {
		kfree(f->a);
	}
	if (scan(f) > 5) {
		kfree(f->b);
	}
}
