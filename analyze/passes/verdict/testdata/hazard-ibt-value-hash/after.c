// want: KLP401 note kernfs_name_hash
// want: KLP402 note kernfs_name_hash
// cflags: -fcf-protection=branch
// cflags: -g
// cflags: -mno-sse
typedef unsigned int u32;
struct ns { int id; };
extern u32 full_name_hash(const void *salt, const char *name, u32 len);
u32 kernfs_name_hash(const char *name, u32 len, const struct ns *ns)
{
	u32 hash = full_name_hash(ns, name, len);
	/* Keep clear of the values that readdir reserves. */
	hash = (hash >> 1) ^ (hash & 1);
	if (hash < 2)
		hash += 2;
	return hash;
}
