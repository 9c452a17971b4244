// want: KLP401 given mm_walk
// want: KLP402 given mm_walk
// cflags: -g
// cflags: -mno-sse
struct vma { struct vma *next; unsigned long start, end; }; struct mm { int lock; struct vma *first; };
extern void down_read(int *); extern void up_read(int *);
int mm_walk(struct mm *mm, unsigned long at)
{
	struct vma *v;
	int err = -14;
	down_read(&mm->lock);
	v = mm->first;
	if (!v)
		goto out;
	if (at < v->start)
		goto out;
	err = at < v->end ? 0 : -12;
out:
	up_read(&mm->lock);
	return err;
}
