struct cmd { int op; int flags; long arg; long pad[4]; }; extern int submit(struct cmd *);
int cmd_send(int op, long arg)
{
	struct cmd c = { .op = op, .arg = arg };
	if (op > 31)
		return -22;
	c.flags = 1;
	return submit(&c);
}
