struct klp_func { const char *old_name; void *new_func; unsigned long old_sympos; bool immediate; unsigned long old_addr; bool patched; bool transition; };
struct klp_object { const char *name; struct klp_func *funcs; };
struct klp_patch { struct module *mod; struct klp_object *objs; bool immediate; };
int klp_register_patch(struct klp_patch *);
