// ppc64le flags: -mcmodel=medium
extern void __might_sleep(const char *file, int line, int offset);
extern void __ext4_error(void *sb, const char *function, unsigned int line, int force, const char *fmt, ...);
extern int ext(int);
extern int place[];
int e(int *p) { __might_sleep("file.c", __LINE__, 0); return ext(p[2] + 5); }
int f(int *p) { __ext4_error(p, __func__, __LINE__, 1, "text %d", p[3]); return ext(p[2] + 4); }
int g(int *p, int q) { place[3] = q; __ext4_error(p + 16, __func__, __LINE__, q, "text %d", 3); return ext(4); }
int h(int *p) { __might_sleep("file.c", 17, 30); return ext(p[2] + 7); }
int i(int *p) { return ext(30); }
