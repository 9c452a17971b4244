// want: changed f
// extract: externs buf ext
extern int ext(int *);
__attribute__((noinline)) int f(int a)
{
	static int buf[4];
	buf[0] += a + 1;
	return ext(buf);
}
__attribute__((noinline)) int g(int a)
{
	static int buf[8];
	return ext(buf + a);
}
int h(int a) { return f(a) + g(a); }
