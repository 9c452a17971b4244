// want: changed f
extern void say(const char *, ...);
void f(int a) { say("value %d now", a); }
void g(int a) { say("same %d", a); }
