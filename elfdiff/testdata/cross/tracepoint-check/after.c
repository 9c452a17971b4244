// want: changed f
// A name that a new trace call leaves for scripts/tracepoint-update, in v7.2.
extern int ext(int);
int f(int a)
{
	static const char check[] __attribute__((used, section("__tracepoint_check"))) = "sched_switch";
	return ext(a + 1);
}
