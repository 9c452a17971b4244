package kbuild

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The top Makefile asks the compiler some thirty questions before it makes an external
// module, and starts twenty times as many processes for that as the module needs. So the first
// module that is made in a prepared tree leaves its commands, as kbuild saved them, with other
// words in place of its directory, its name and the names of its prebuilt objects. They are
// kept if they make the same module again, to the byte, in another directory. What they
// make of another module of the same form is then what make would have made.

// moduleForm is the form of an external module of one C file and prebuilt objects, as package
// generate writes them.
type moduleForm struct {
	Name     string   // "livepatch_fix"
	Source   string   // its C file without the suffix, "livepatch_fix_main"
	Prebuilt []string // "fs_ext4_mballoc.o", in the order of the link; made by copying *.o_shipped
	Rest     string   // digest of what else its Kbuild says
}

// words stand for what differs from module to module.
const (
	wordDir     = "@KLPFORGE_MODULE_DIR@"
	wordName    = "@KLPFORGE_MODULE@"
	wordObjects = "@KLPFORGE_OBJECTS@" // paths, by spaces
	wordNames   = "@KLPFORGE_NAMES@"   // the same relative to the directory
)

var (
	kbuildModule = regexp.MustCompile(`(?m)^obj-m := (\w+)\.o$`)
	kbuildPart   = regexp.MustCompile(`(?m)^(\w+)-y \+?= ([\w.-]+)\.o\b.*$`)
)

// readModuleForm reads the form of the module in a directory; ok is false for one of
// another form.
func readModuleForm(dir string) (form moduleForm, ok bool) {
	text, err := os.ReadFile(filepath.Join(dir, "Kbuild"))
	if err != nil {
		return form, false
	}
	rest := string(text)
	name := kbuildModule.FindStringSubmatch(rest)
	if name == nil {
		return form, false
	}
	form.Name, form.Source = name[1], name[1]+"_main"
	parts := kbuildPart.FindAllStringSubmatch(strings.ReplaceAll(rest, "-y := ", "-y += "), -1)
	for i, part := range parts {
		switch {
		case part[1] != form.Name, (i == 0) != (part[2] == form.Source):
			return form, false
		case i > 0:
			form.Prebuilt = append(form.Prebuilt, part[2]+".o")
		}
	}
	if len(parts) == 0 || !exists(filepath.Join(dir, form.Source+".c")) {
		return form, false
	}
	for _, object := range form.Prebuilt {
		if !exists(filepath.Join(dir, object+"_shipped")) {
			return form, false
		}
	}

	// What names the parts is the same for every module, a rule with its commands for each, however
	// many there are; comments and empty lines say nothing to make.
	var kept []string
	inRule := false
	for line := range strings.Lines(rest) {
		named := slices.ContainsFunc(form.Prebuilt, func(object string) bool { return strings.Contains(line, object) })
		inRule = named || inRule && strings.HasPrefix(line, "\t")
		if !inRule && !strings.HasPrefix(line, "#") && strings.TrimSpace(line) != "" {
			kept = append(kept, strings.ReplaceAll(line, form.Name, wordName))
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(kept, "")))
	form.Rest = hex.EncodeToString(sum[:])
	return form, true
}

// objects are what the module is linked of, by spaces: paths in dir, and the same relative to it.
func (f *moduleForm) objects(dir string) (paths, names string) {
	for _, object := range append([]string{f.Source + ".o"}, f.Prebuilt...) {
		paths, names = paths+" "+dir+"/"+object, names+" "+object
	}
	return paths[1:], names[1:]
}

// moduleRecipe are the commands that make a module, with the words above.
type moduleRecipe struct {
	// Commands by the file that they make; in recipeOrder.
	Commands map[string]string
	// Prefix is what the names of saved commands begin with, "cmd_" or "savedcmd_" (v6.3).
	Prefix string
}

// recipeOrder are the files of a module in the order in which they are made. Those that have
// no saved command in a kernel's kbuild are not made by the recipe.
var recipeOrder = []string{wordName + "_main.o", wordName + ".mod", wordName + ".o", "modules.order",
	"Module.symvers", wordName + ".mod.o", wordName + ".ko"}

// readRecipe makes a recipe of the commands that kbuild saved in the directory of a module.
func readRecipe(dir string, form moduleForm) (*moduleRecipe, error) {
	if len(form.Prebuilt) == 0 {
		return nil, errors.New("one object alone does not tell where the commands have all of them")
	}
	recipe := &moduleRecipe{Commands: map[string]string{}}
	listed := false
	for _, made := range recipeOrder {
		file := strings.ReplaceAll(made, wordName, form.Name)
		data, err := os.ReadFile(filepath.Join(dir, cmdFile(file)))
		if err != nil {
			return nil, err
		}
		saved, err := parseCmdFile(data)
		if err != nil {
			return nil, err
		}
		if recipe.Commands[made], err = form.general(saved.Command, dir); err != nil {
			return nil, err
		}
		if saved.Source != "" && made == recipeOrder[0] {
			recipe.Prefix, _, _ = strings.Cut(string(data), "cmd_")
			recipe.Prefix += "cmd_"
		}
		listed = listed || strings.Contains(recipe.Commands[made], wordObjects) ||
			strings.Contains(recipe.Commands[made], wordNames)
	}
	if !listed {
		return nil, errors.New("no saved command lists the objects of the module")
	}
	return recipe, nil
}

// general puts words in place of what is this module's own.
func (f *moduleForm) general(command, dir string) (string, error) {
	paths, names := f.objects(dir)
	out := strings.ReplaceAll(strings.ReplaceAll(command, paths, wordObjects), names, wordNames)
	out = regexp.MustCompile(regexp.QuoteMeta(dir)+`([^\w.-]|$)`).ReplaceAllString(out, wordDir+"$1")
	// Files of the module, and -DKBUILD_BASENAME='"x_main"', -DKBUILD_MODNAME='"x"',
	// -D__KBUILD_MODNAME=kmod_x (scripts/Makefile.lib, v4.16 to v6.12).
	places := regexp.MustCompile(`(` + wordDir + `/\.?|"|\bkmod_)` + regexp.QuoteMeta(f.Name) + `(_main)?\b`)
	out = places.ReplaceAllString(out, "${1}"+wordName+"${2}")

	// What is left of the names is in a place that is not known, or they are part of other words.
	for _, own := range append([]string{dir, f.Name}, f.Prebuilt...) {
		if strings.Contains(out, own) {
			return "", fmt.Errorf("a saved command has %s in a place that is not understood: %.200s", own, out)
		}
	}
	return out, nil
}

// special is the reverse of general for another module.
func (f *moduleForm) special(command, dir string) string {
	paths, names := f.objects(dir)
	return strings.NewReplacer(wordObjects, paths, wordNames, names, wordDir, dir, wordName, f.Name).Replace(command)
}

// follow makes the module in dir by the recipe. Errors are *RunError, or of the environment.
func (r *moduleRecipe) follow(ctx context.Context, t *Tree, dir string, form moduleForm) ([]byte, error) {
	for _, object := range form.Prebuilt {
		if err := copyFile(filepath.Join(dir, object+"_shipped"), filepath.Join(dir, object), 0o644); err != nil {
			return nil, err
		}
		// modpost reads the saved command of each object.
		path := filepath.Join(dir, object)
		saved := fmt.Sprintf("%s%s := cat %s_shipped > %s\n", r.Prefix, path, path, path)
		if err := os.WriteFile(filepath.Join(dir, cmdFile(object)), []byte(saved), 0o644); err != nil {
			return nil, err
		}
	}

	// One shell for all: a process that is confined costs more than the command of most steps.
	var script strings.Builder
	script.WriteString("set -e\n")
	for _, made := range recipeOrder {
		line := form.special(r.Commands[made], dir)
		fmt.Fprintf(&script, "%s\n", line)
		if !strings.HasSuffix(made, ".o") || made == wordName+".o" {
			continue
		}
		// What the compiler read is checked, and modpost wants it too.
		file := strings.ReplaceAll(made, wordName, form.Name)
		path := filepath.Join(dir, file)
		fmt.Fprintf(&script, "%s %s %s %s > %s\n", shellQuote(filepath.Join(t.Dir, "scripts/basic/fixdep")),
			shellQuote(filepath.Join(dir, "."+file+".d")), shellQuote(path), shellQuote(line),
			shellQuote(filepath.Join(dir, cmdFile(file))))
	}
	cmd := command{name: "link the module", dir: t.Dir, env: append(baseEnv(), "KBUILD_MODPOST_WARN=1"),
		argv: []string{"sh", "-c", script.String()}, logs: t.logs(), box: t.box(dir)}
	if tmp := cmd.box.tmp(); tmp != "" {
		defer os.RemoveAll(tmp)
	}
	_, out, err := cmd.runBoth(ctx)
	return out, err
}

// shellQuote makes one word of a shell of any text.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// recipeName is the file that keeps the recipe of a form, made with these flags.
func (t *Tree) recipeName(form moduleForm, flags string) string {
	sum := sha256.Sum256([]byte(strings.Join(append(t.vars(flags), form.Rest), "\x00")))
	return "module-" + hex.EncodeToString(sum[:6]) + ".json"
}

// knownRecipe returns the kept recipe, nil if there is none.
func (t *Tree) knownRecipe(name string) *moduleRecipe {
	recipe := &moduleRecipe{}
	if data, err := t.kept(name); err != nil || json.Unmarshal(data, recipe) != nil || len(recipe.Commands) == 0 {
		return nil
	}
	return recipe
}

// learn keeps the commands by which make made the module in dir, if they make the same once
// more in a directory of another name. That it cannot is no error: the next module is made by make.
func (t *Tree) learn(ctx context.Context, dir, name string, form moduleForm) error {
	recipe, err := readRecipe(dir, form)
	if err != nil {
		return nil
	}
	again, unlock, err := t.workDir(ctx, "module-again")
	if err != nil {
		return err
	}
	defer unlock()
	defer removeTree(again)
	again = filepath.Join(again, "module-again")
	sources := []string{form.Source + ".c", "Kbuild"}
	for _, object := range form.Prebuilt {
		sources = append(sources, object+"_shipped")
	}
	for _, file := range sources {
		if err := copyFile(filepath.Join(dir, file), filepath.Join(again, file), 0o644); err != nil {
			return err
		}
	}

	var failed *RunError
	if _, err := recipe.follow(ctx, t, again, form); errors.As(err, &failed) {
		return nil
	} else if err != nil {
		return err
	}
	want, err := os.ReadFile(filepath.Join(dir, form.Name+".ko"))
	if err != nil {
		return err
	}
	got, err := os.ReadFile(filepath.Join(again, form.Name+".ko"))
	if err != nil || !bytes.Equal(want, got) {
		return nil
	}
	return t.keepJSON(name, recipe)
}
