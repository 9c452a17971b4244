extern int work(int);
extern int limit;
int one(int a) { return work(a) + limit; }
int two(int a) { return work(a + 1) + limit; }
