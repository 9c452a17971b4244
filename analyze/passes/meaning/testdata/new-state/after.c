// want: KLP209 warning fail
// text: stores FAILED, new in dir/case.c, in member state
// text: describe
enum state {
	IDLE,
	BUSY,
	FAILED,
};

struct conn {
	enum state state;
	int error;
};

int describe(struct conn *c)
{
	switch (c->state) {
	case IDLE:
		return 'i';
	case BUSY:
		return 'b';
	}
	return 0;
}

void fail(struct conn *c, int error)
{
	c->error = error;
	c->state = FAILED;
}
