struct klp_func { const char *old_name; void *new_func; unsigned long old_sympos; unsigned long old_addr; };
struct klp_reloc { unsigned long loc; unsigned long sympos; };
struct klp_object { const char *name; struct klp_reloc *relocs; struct klp_func *funcs; };
struct klp_patch { struct module *mod; struct klp_object *objs; };
int klp_register_patch(struct klp_patch *);
