struct klp_func { const char *old_name; void *new_func; unsigned long old_sympos; bool transition; };
struct klp_callbacks { int (*pre_patch)(struct klp_object *obj); };
struct klp_object { const char *name; struct klp_func *funcs; struct klp_callbacks callbacks; };
struct klp_patch { struct module *mod; struct klp_object *objs; };
int klp_register_patch(struct klp_patch *);
void *klp_shadow_alloc(void *obj, unsigned long id, void *data, size_t size, gfp_t gfp_flags);
