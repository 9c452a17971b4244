// want: KLP208 error
// text: struct session
// text: size: 16 bytes before, 24 after
// text: new member long int expires at 8
// text: 1 member(s) move: owner from 8 to 16 first
// text: variables: sessions
// text: shadow variable
// cflags: -g
struct session {
	int id;
	int refs;
	long expires;
	void *owner;
};

static struct session *sessions[8];

void *alloc(unsigned long);

int open_session(int id)
{
	struct session *s = alloc(sizeof(*s));

	s->id = id;
	s->refs = 1;
	s->expires = id + 100;
	sessions[id & 7] = s;
	return 0;
}

int refs(int id)
{
	return sessions[id & 7]->refs;
}

void *owner(int id)
{
	return sessions[id & 7]->owner;
}
