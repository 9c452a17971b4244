extern int ext(int);
int f(int a) { return ext(a); }
