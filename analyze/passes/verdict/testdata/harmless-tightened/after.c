// want: KLP401 given tlv_parse
// want: KLP402 given tlv_parse
// cflags: -g
// cflags: -mno-sse
struct tlv { unsigned char t, l; unsigned char v[62]; }; extern void *memcpy(void *, const void *, unsigned long);
extern void store_tlv(int t, const void *v, int l);
int tlv_parse(const unsigned char *p, unsigned len)
{
	if (len > 62)
		return -22;
	while (len > 2) {
		unsigned l = p[1];
		store_tlv(p[0], p + 2, l);
		p += l + 2;
		len -= l + 2;
	}
	return 0;
}
