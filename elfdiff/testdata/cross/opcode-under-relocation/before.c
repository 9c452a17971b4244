extern int value;
long f(void) { return value; }
