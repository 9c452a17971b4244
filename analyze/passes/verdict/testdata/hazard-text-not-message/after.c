// want: KLP401 note chan_name
// want: KLP402 note chan_name
// cflags: -g
// cflags: -mno-sse
struct chan { const char *name; int id; }; extern int register_chan(const char *name, int id);
int chan_name(struct chan *c)
{
	if (c->id < 0)
		return -22;
	return register_chan("dma-tx", c->id);
}
