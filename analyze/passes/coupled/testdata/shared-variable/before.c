extern int work(int);
static int state;
void put(int a) { state = work(a); }
int get(int a) { return state + work(a); }
int other(int a) { return work(a + 1); }
