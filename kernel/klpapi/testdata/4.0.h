struct klp_func {
	/* external */
	const char *old_name;
	void *new_func;
	/* the old_addr member sets the address of a symbol that is not unique; old_sympos comes later */
	unsigned long old_addr;
	struct kobject kobj;
};
struct klp_reloc { unsigned long loc, val; const char *name; };
struct klp_object { const char *name; struct klp_reloc *relocs; struct klp_func *funcs; };
struct klp_patch { struct module *mod; struct klp_object *objs; };
int klp_register_patch(struct klp_patch *);
int klp_enable_patch(struct klp_patch *);
