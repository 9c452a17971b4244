// want: KLP207 warning drop
// text: frees *(arg0+0x10) by kfree: never before, once after
extern void kfree(const void *); extern int scan(void *);
struct item { struct item *next; void *name; };
struct foo { int state; void *a, *b; void *bufs[8]; };
extern struct item *items;
void drop(struct foo *f, int n);
void drop(struct foo *f, int n)
{
	if (scan(f) > 3)
		kfree(f->a);
	for (int i = 0; i < n; i++)
		if (scan(f->bufs[i]))
			kfree(f->bufs[i]);
	for (struct item *p = items; p; p = p->next)
		if (scan(p) > 3)
			kfree(p->name);
	if (scan(f) > 5)
		kfree(f->b);
}
