package templates

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// headers declare what the skeletons use, as v6.1 does (include/linux/livepatch.h,
// include/linux/slab.h, include/asm-generic/rwonce.h).
const stateHeaders = `
typedef unsigned int gfp_t;
#define GFP_KERNEL 0
#define NULL ((void *)0)
#define ENOMEM 12
#define EINVAL 22
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#define bool _Bool
#define false 0
struct list_head { struct list_head *next, *prev; };
#define list_entry(p, type, member) ((type *)((char *)(p) - __builtin_offsetof(type, member)))
#define list_for_each_entry(pos, head, member) for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head); pos = list_entry(pos->member.next, __typeof__(*pos), member))
struct klp_func { struct list_head node; bool transition; };
struct klp_object { struct list_head func_list, node; };
struct klp_patch { struct list_head obj_list; };
struct klp_state { unsigned long id; unsigned int version; void *data; };
typedef int (*klp_shadow_ctor_t)(void *obj, void *shadow_data, void *ctor_data);
typedef void (*klp_shadow_dtor_t)(void *obj, void *shadow_data);
void *klp_shadow_get(void *obj, unsigned long id);
void *klp_shadow_get_or_alloc(void *obj, unsigned long id, unsigned long size, gfp_t gfp_flags, klp_shadow_ctor_t ctor, void *ctor_data);
void klp_shadow_free(void *obj, unsigned long id, klp_shadow_dtor_t dtor);
struct klp_state *klp_get_state(struct klp_patch *patch, unsigned long id);
struct klp_state *klp_get_prev_state(unsigned long id);
void *kzalloc(unsigned long size, gfp_t flags);
void kfree(const void *p);
`

// callbackHeader marks callbacks as a header for source patches does.
const callbackHeader = `
#define MARK(kind, result, fn) static result (*__klp_##kind##_callback_here)(struct klp_object *) __attribute__((__used__)) = fn
#define KLP_PRE_PATCH_CALLBACK(fn) MARK(pre_patch, int, fn)
#define KLP_POST_PATCH_CALLBACK(fn) MARK(post_patch, void, fn)
#define KLP_PRE_UNPATCH_CALLBACK(fn) MARK(pre_unpatch, void, fn)
#define KLP_POST_UNPATCH_CALLBACK(fn) MARK(post_unpatch, void, fn)
`

// compileSkeleton compiles code after before, with the kernel's headers
// replaced by their declarations, and returns what the compiler says.
func compileSkeleton(t *testing.T, before, code string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"linux/livepatch.h": stateHeaders, "linux/livepatch_helpers.h": callbackHeader, "linux/slab.h": "", "x.c": "#include <linux/livepatch.h>\n" + before + code} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		if name == "linux/livepatch.h" {
			text = "#pragma once\n" + text
		}
		if err := os.WriteFile(p, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("gcc", "-std=gnu11", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-I", dir, "-c", "-o", filepath.Join(dir, "x.o"), filepath.Join(dir, "x.c")).CombinedOutput()
	if err != nil {
		return string(out), err
	}
	nm, err := exec.Command("nm", filepath.Join(dir, "x.o")).CombinedOutput()
	return string(nm), err
}

func TestStateSkeleton(t *testing.T) {
	var b bytes.Buffer
	s := NewState{Name: "limit", ID: 7, Version: 1, Meaning: "limit */ is raised", Variable: "limit_max", Value: "5"}
	if err := StateSkeleton(&b, s); err != nil {
		t.Fatal(err)
	}
	out, err := compileSkeleton(t, "static unsigned int limit_max = 3;\nunsigned int get(void) { return limit_max; }\n", b.String())
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, b.String())
	}
	for _, kind := range []string{"pre_patch", "post_patch", "pre_unpatch", "post_unpatch"} {
		if !strings.Contains(out, "__klp_"+kind+"_callback_") {
			t.Errorf("the object marks no %s callback:\n%s", kind, out)
		}
	}
	// The same for a module, which also asks whether a transition is under way.
	b.Reset()
	s.Object = "loop"
	if err := StateSkeleton(&b, s); err != nil {
		t.Fatal(err)
	}
	if out, err := compileSkeleton(t, "static unsigned int limit_max = 3;\nunsigned int get(void) { return limit_max; }\n", b.String()); err != nil || !strings.Contains(b.String(), "the module loop") {
		t.Errorf("%v\n%s\n%s", err, out, b.String())
	}
	s.Object = ""
	// What its author has not completed does not compile.
	b.Reset()
	s.Variable, s.Value = "", ""
	if err := StateSkeleton(&b, s); err != nil {
		t.Fatal(err)
	}
	if out, err := compileSkeleton(t, "", b.String()); err == nil || strings.Count(out, "#error") < 4 {
		t.Errorf("the incomplete skeleton: %v\n%s", err, out)
	}
}

func TestShadowSkeleton(t *testing.T) {
	var b bytes.Buffer
	s := NewShadow{Name: "foo_new", Type: "struct foo", ID: ShadowID("struct foo"), Members: []ShadowMember{{"unsigned int", "n"}, {"int[4]", "list"}, {"void (*)(int)", "fn"}}}
	if err := ShadowSkeleton(&b, s); err != nil {
		t.Fatal(err)
	}
	use := "\nint f(struct foo *p);\nint f(struct foo *p)\n{\n\tstruct foo_new_shadow *s = foo_new_get_or_alloc(p, GFP_KERNEL);\n\n\tfoo_new_free(p);\n\treturn s && foo_new_get(p) ? s->list[3] : 0;\n}\n"
	if out, err := compileSkeleton(t, "struct foo { int x; };\n", b.String()+use); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, b.String())
	}
	if ShadowID("a") == ShadowID("b") {
		t.Error("one id for two names")
	}
}

func TestIdentifier(t *testing.T) {
	for in, want := range map[string]string{"a-b.c": "a_b_c", "9p": "_9p", "": "_", "ok_1": "ok_1"} {
		if got := Identifier(in); got != want {
			t.Errorf("Identifier(%q) = %q, want %q", in, got, want)
		}
	}
}
