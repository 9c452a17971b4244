package kbuild

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// savedModule are commands as kbuild of v6.1 saves them for a module: %[1]s is its directory,
// %[2]s its name, %[3]s its objects and %[4]s their names.
var savedModule = []string{
	`gcc-12 -Wp,-MMD,%[1]s/.%[2]s_main.o.d -I./include -fmacro-prefix-map=./= -Wall -g0 -ffile-prefix-map=%[1]s/= ` +
		`-ffile-prefix-map=%[1]s=. -DMODULE -DKBUILD_BASENAME='"%[2]s_main"' -DKBUILD_MODNAME='"%[2]s"' ` +
		`-D__KBUILD_MODNAME=kmod_%[2]s -c -o %[1]s/%[2]s_main.o %[1]s/%[2]s_main.c ; ./tools/objtool/objtool --orc --module ` +
		`%[1]s/%[2]s_main.o`,
	`printf '%%s\n'   %[4]s | awk '!x[$0]++ { print("%[1]s/"$0) }' > %[1]s/%[2]s.mod`,
	`ld -m elf_x86_64 -r -o %[1]s/%[2]s.o @%[1]s/%[2]s.mod `,
	`ld -m elf_x86_64 -r -o %[1]s/%[2]s.o %[3]s`,
	`{   echo %[1]s/%[2]s.ko; :; } > %[1]s/modules.order`,
	`gcc-12 -Wp,-MMD,%[1]s/.%[2]s.mod.o.d -DKBUILD_BASENAME='"%[2]s.mod"' -DKBUILD_MODNAME='"%[2]s"' -c -o ` +
		`%[1]s/%[2]s.mod.o %[1]s/%[2]s.mod.c`,
	`ld -r --build-id=sha1 -T scripts/module.lds -o %[1]s/%[2]s.ko %[1]s/%[2]s.o %[1]s/%[2]s.mod.o;  true`,
}

// saved is a command for one module.
func saved(template, dir string, form moduleForm) string {
	paths, names := form.objects(dir)
	return fmt.Sprintf(template, dir, form.Name, paths, names)
}

// TestGeneral covers that commands of any module give those of any other of its form.
func TestGeneral(t *testing.T) {
	modules := []struct {
		dir  string
		form moduleForm
	}{
		{"/cache/work/1-ab/module", moduleForm{Name: "livepatch_fix", Source: "livepatch_fix_main",
			Prebuilt: []string{"fs_ext4_mballoc.o"}}},
		{"/tmp/m", moduleForm{Name: "klp_a", Source: "klp_a_main", Prebuilt: []string{"x.o", "x_2.o", "klp-a.o"}}},
		{"/cache/ld/gcc", moduleForm{Name: "gcc", Source: "gcc_main", Prebuilt: []string{"kernel_fork.o"}}},
	}
	for _, template := range savedModule {
		for _, from := range modules[:2] { // "gcc" is a word of the commands
			general, err := from.form.general(saved(template, from.dir, from.form), from.dir)
			if err != nil {
				t.Errorf("%s: %v", from.form.Name, err)
				continue
			}
			for _, to := range modules {
				if diff := cmp.Diff(saved(template, to.dir, to.form), to.form.special(general, to.dir)); diff != "" {
					t.Errorf("%s to %s (-want +got):\n%s", from.form.Name, to.form.Name, diff)
				}
			}
		}
	}

	// A name that says something else too is not understood.
	for _, command := range []string{
		"gcc -o @KLPFORGE_MODULE_DIR@/gcc_main.o", "ld -r gcc.o", "cc -Dgcc=1 -c /m/gcc_main.c", "cat kernel_fork.o",
		"ld -T /module.lds", "cc -DX=module_gcc",
	} {
		form := modules[2].form
		if got, err := form.general(command, "/m"); err == nil {
			t.Errorf("%s: taken for %s", command, got)
		}
	}
}

func TestReadModuleForm(t *testing.T) {
	const head = "# a: livepatch for Linux 6.1\n\nobj-m := a.o\na-y := a_main.o\n"
	const tail = "ccflags-y += -g0\n$(obj)/one.o: $(src)/one.o_shipped FORCE\n\t$(call if_changed,copy)\n"
	read := func(text string, files ...string) (moduleForm, bool) {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "Kbuild"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return readModuleForm(dir)
	}

	form, ok := read(head+"a-y += one.o\t# from fs/one.o\n"+tail, "a_main.c", "one.o_shipped")
	want := moduleForm{Name: "a", Source: "a_main", Prebuilt: []string{"one.o"}, Rest: form.Rest}
	if diff := cmp.Diff(want, form); diff != "" || !ok || form.Rest == "" {
		t.Errorf("%v (-want +got):\n%s", ok, diff)
	}
	// Other names and other objects are the same form, other flags are not.
	other, ok := read(strings.ReplaceAll(head+"a-y += b-2.o\n"+tail, "one.o", "b-2.o"), "a_main.c", "b-2.o_shipped")
	if !ok || other.Rest != form.Rest {
		t.Errorf("%v: other objects: another form: %+v", ok, other)
	}
	another := "\n$(obj)/two.o: $(src)/two.o_shipped FORCE\n\t$(call if_changed,copy)\n"
	other, ok = read(head+"a-y += one.o\na-y += two.o\n"+tail+another, "a_main.c", "one.o_shipped", "two.o_shipped")
	if !ok || other.Rest != form.Rest || len(other.Prebuilt) != 2 {
		t.Errorf("%v: more objects: another form: %+v", ok, other)
	}
	other, ok = read(head+"a-y += one.o\n"+tail+"extra:\n\ttrue\n", "a_main.c", "one.o_shipped")
	if !ok || other.Rest == form.Rest {
		t.Errorf("%v: another rule: the same form", ok)
	}
	other, ok = read(head+"a-y += one.o\n"+strings.Replace(tail, "-g0", "-g1", 1), "a_main.c", "one.o_shipped")
	if !ok || other.Rest == form.Rest {
		t.Errorf("%v: other flags: the same form", ok)
	}

	for name, test := range map[string]struct {
		text  string
		files []string
	}{
		"no Kbuild text":      {"", []string{"a_main.c"}},
		"no source":           {head + "a-y += one.o\n", []string{"one.o_shipped"}},
		"object made of C":    {head + "a-y += one.o\n", []string{"a_main.c", "one.c"}},
		"another main":        {"obj-m := a.o\na-y := b.o\n", []string{"a_main.c"}},
		"parts of another":    {"obj-m := a.o\nb-y := a_main.o\n", []string{"a_main.c"}},
		"main is not first":   {"obj-m := a.o\na-y := one.o\na-y += a_main.o\n", []string{"a_main.c", "one.o_shipped"}},
		"no parts":            {"obj-m := a.o\n", []string{"a_main.c"}},
		"name with other way": {"obj-m += hello.o\nhello-y := main.o part.o\n", []string{"main.c", "part.c"}},
	} {
		if form, ok := read(test.text, test.files...); ok {
			t.Errorf("%s: read as %+v", name, form)
		}
	}
}

// TestRecipeSteps covers that a kernel whose kbuild saves fewer commands has no recipe.
func TestRecipeSteps(t *testing.T) {
	dir := t.TempDir()
	form := moduleForm{Name: "klp_a", Source: "klp_a_main", Prebuilt: []string{"one.o"}}
	for _, made := range recipeOrder {
		if _, err := readRecipe(dir, form); err == nil {
			t.Fatalf("a recipe without the command for %s", made)
		}
		file := filepath.Join(dir, strings.ReplaceAll(made, wordName, form.Name))
		text := fmt.Sprintf("savedcmd_%s := make %s\n", file, file)
		if strings.HasSuffix(made, ".mod") {
			text = fmt.Sprintf("savedcmd_%s := echo klp_a_main.o one.o > %s\n", file, file)
		}
		if made == recipeOrder[0] {
			text += fmt.Sprintf("\nsource_%s := %s/klp_a_main.c\n", file, dir)
		}
		if err := os.WriteFile(filepath.Join(dir, cmdFile(filepath.Base(file))), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recipe, err := readRecipe(dir, form)
	if err != nil || recipe.Prefix != "savedcmd_" || len(recipe.Commands) != len(recipeOrder) {
		t.Errorf("%+v, %v", recipe, err)
	}

	// Where the objects are listed must be seen, so that a module of others is made of all of them.
	alone := moduleForm{Name: "klp_a", Source: "klp_a_main"}
	if recipe, err := readRecipe(dir, alone); err == nil {
		t.Errorf("a recipe of a module of one object: %+v", recipe)
	}
	list := filepath.Join(dir, ".klp_a.mod.cmd")
	if err := os.WriteFile(list, []byte("savedcmd_klp_a.mod := ls > "+dir+"/klp_a.mod\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if recipe, err := readRecipe(dir, form); err == nil {
		t.Errorf("a recipe without a list of objects: %+v", recipe)
	}
}

func TestShellQuote(t *testing.T) {
	for _, text := range []string{"", "a b", "it's", `$HOME "x" \n`} {
		words, err := shellWords(shellQuote(text))
		if err != nil || len(words) != 1 || words[0].text != text {
			t.Errorf("%q: %+v, %v", text, words, err)
		}
	}
}
