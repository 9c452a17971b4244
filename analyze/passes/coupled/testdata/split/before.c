extern int work(int);
static unsigned long count;
void add(int a) { work(a); count++; }
int list(int a) { return work(a) < count; }
