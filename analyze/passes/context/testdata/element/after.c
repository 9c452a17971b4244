// want: KLP206 error my_end
// text: bio.bi_end_io
// cflags: -gbtf
// cflags: -mno-sse
struct bio { struct bio *next; int status; void (*bi_end_io)(struct bio *); }; struct set { int count; struct bio *bios; };
extern void other(void *); extern void msleep(unsigned int);
static void my_end(struct bio *bio) { msleep(1); other(bio->next); }
void my_init(struct set *s, int i) { s->bios[i].bi_end_io = my_end; other(s); }
