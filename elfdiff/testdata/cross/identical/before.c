extern int ext(int);
static int state;
int f(int a) { return ext(a) + state++; }
