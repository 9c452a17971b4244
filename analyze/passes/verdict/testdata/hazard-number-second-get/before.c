struct node { int ref; struct node *peer; }; extern void node_get(struct node *);
int link_pair(struct node *a, struct node *b)
{
	if (a == b)
		return -22;
	node_get(b);
	a->peer = b;
	return 0;
}
