typedef unsigned int u32;
struct ns { int id; };
extern u32 full_name_hash(const void *salt, const char *name, u32 len);
u32 kernfs_name_hash(const char *name, u32 len, const struct ns *ns)
{
	u32 hash = full_name_hash(ns, name, len);
	/* Keep clear of the values that readdir reserves. */
	hash &= 0x7fffffff;
	if (hash < 2)
		hash += 2;
	return hash;
}
