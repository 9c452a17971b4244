// want: KLP210 unknown add
// text: 2 changed functions communicate with each other; whether they must switch together is not known
extern int work(int);
static unsigned long count;
__attribute__((noinline)) static void more(void) { count++; }
void add(int a) { work(a + 1); more(); }
int list(int a) { return work(a + 1) < count; }
