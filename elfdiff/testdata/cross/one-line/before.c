extern int ext(int, const char *);
extern int shared;
static int state;
static const char *const words[] = { "one", "two", "three" };
int f(int a)
{
	state += a;
	return ext(a + shared + 1, words[a & 1]) + state;
}
int g(void) { return state; }
const char *const *list(void) { return words; }
