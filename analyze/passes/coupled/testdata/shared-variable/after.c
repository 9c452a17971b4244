// want: KLP210 unknown get
// text: put writes state, which get uses
// text: 2 changed functions
// text: whether they must switch together is not known
extern int work(int);
static int state;
void put(int a) { state = work(a) + 1; }
int get(int a) { return state + work(a) - 1; }
int other(int a) { return work(a + 2); }
