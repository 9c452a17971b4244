struct klp_func { const char *old_name; void *new_func; unsigned long old_sympos; bool nop; bool transition; };
struct klp_object { const char *name; struct klp_func *funcs; struct klp_callbacks callbacks; };
struct klp_patch { struct module *mod; struct klp_object *objs; struct klp_state *states; bool replace; };
