// want: nothing
extern int work(int);
extern int limit;
int one(int a) { return work(a + 3) + limit; }
int two(int a) { return work(a + 4) + limit; }
