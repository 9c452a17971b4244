// want: KLP208 warning
// text: new members where it had padding
// text: new member char flags at 1
// cflags: -g
struct item {
	char kind;
	char flags;
	long value;
};

extern struct item *first;

long value(void)
{
	return first->flags ? 0 : first->value;
}
