// want: KLP210 note add
// text: 2 changed functions communicate with each other and must switch together
// text: add writes count, which list uses, before or after but not both
extern int work(int);
void add(int a) { work(a); work(a); }
int list(int a) { return work(a) < work(0); }
