extern void say(const char *, ...);
void f(int a) { say("value %d", a); }
void g(int a) { say("same %d", a); }
