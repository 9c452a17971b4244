// want: nothing
struct obj { void *secret; int n; }; extern void kfree(const void *); extern void kfree_sensitive(const void *);
void drop(struct obj *o) { kfree_sensitive(o->secret); kfree_sensitive(o); }
