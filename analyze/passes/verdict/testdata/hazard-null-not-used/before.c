struct n { const char *s; int len; int hash; };
int name_len(struct n *n, struct n *dir)
{
	if (n->len > 255)
		return -36;
	return n->len + n->hash;
}
