// want: KLP401 note link_pair
// want: KLP402 note link_pair
// cflags: -g
// cflags: -mno-sse
struct node { int ref; struct node *peer; }; extern void node_get(struct node *);
int link_pair(struct node *a, struct node *b)
{
	if (a == b)
		return -22;
	node_get(b);
	node_get(a);
	a->peer = b;
	return 0;
}
