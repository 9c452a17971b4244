package generate

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
	"github.com/klpforge/klpforge/templates"
)

// ErrNotEmpty means that Emit was pointed at a directory that holds something
// other than an earlier emission.
var ErrNotEmpty = errors.New("directory is not empty and was not made by klpforge")

// Input is what Emit writes down.
type Input struct {
	Plan  plan.Plan
	API   klpapi.API // the target's livepatch interface
	Units []Unit     // prebuilt objects, one per unit that the plan names, in any order
}

// Unit is one prebuilt object: what elfdiff extracted from one compiled unit.
type Unit struct {
	Name   string // the unit's path in the kernel tree, e.g. "fs/ext4/mballoc.o"
	Object []byte // relocatable ELF; references that stay in the kernel are .klp.sym.* symbols
}

// Emit writes the module's directory: C source with the livepatch tables,
// Kbuild, Makefile, the prebuilt objects as *.o_shipped, and manifest.json.
// The files depend on in alone. dir is made when absent; an earlier emission
// in it is replaced, anything else is refused with ErrNotEmpty. A plan that
// cannot be a livepatch gives an error wrapping ErrPlan, one that wants more
// than the kernel offers an *APIError.
//
// An object whose symbols the code refers to, but which has no function to
// patch, is added to the tables without functions: livepatch then writes the
// relocations when that module loads, and nothing depends on it before.
func Emit(dir string, in Input) (*note.Note, error) {
	contents := clonePlan(in.Plan)
	contents.Sort()
	if err := checkPlan(&contents); err != nil {
		return nil, err
	}
	refs, err := checkUnits(&contents, in.Units)
	if err != nil {
		return nil, err
	}
	if err := checkAPI(&contents, in.API, len(refs) > 0); err != nil {
		return nil, err
	}
	addReferenced(&contents, refs)
	recorded := NewNote(contents, in.API)
	setContents(recorded, in.Units)
	out, err := render(&contents, in, recorded)
	if err != nil {
		return nil, err
	}
	return recorded, writeDir(dir, out)
}

func clonePlan(contents plan.Plan) plan.Plan {
	contents.Objects = slices.Clone(contents.Objects)
	for i := range contents.Objects {
		contents.Objects[i].Funcs = slices.Clone(contents.Objects[i].Funcs)
	}
	return contents
}

// addReferenced adds the objects of refs that the plan does not have.
func addReferenced(contents *plan.Plan, refs []elfobj.KlpSymbol) {
	for _, klp := range refs {
		if isVmlinux(klp.Object) || slices.ContainsFunc(contents.Objects,
			func(o plan.Object) bool { return o.Name == klp.Object }) {
			continue
		}
		contents.Objects = append(contents.Objects, plan.Object{Name: klp.Object})
	}
	contents.Sort()
}

// file is one file to write.
type file struct {
	name string
	data []byte
}

func render(contents *plan.Plan, in Input, recorded *note.Note) ([]file, error) {
	values := view(contents, in)
	var src, kbuild, makefile bytes.Buffer
	err := errors.Join(templates.Source(&src, values), templates.Kbuild(&kbuild, values),
		templates.Makefile(&makefile, values))
	if err != nil {
		return nil, err
	}
	encoded, err := recorded.Encode()
	if err != nil {
		return nil, err
	}
	out := []file{
		// First, so that an interrupted emission can be repeated.
		{ManifestFile, encoded},
		{values.Main + ".c", src.Bytes()}, {"Kbuild", kbuild.Bytes()}, {"Makefile", makefile.Bytes()},
	}
	for _, unit := range values.Units {
		i := slices.IndexFunc(in.Units, func(w Unit) bool { return w.Name == unit.Name })
		out = append(out, file{unit.File + "_shipped", in.Units[i].Object})
	}
	return out, nil
}

// view translates the plan to what the templates show.
func view(contents *plan.Plan, in Input) templates.View {
	refs := references(in.Units)
	values := templates.View{
		API: in.API, Name: contents.Name, Description: contents.Description, Version: contents.Version,
		Release: contents.Release,
		Replace: contents.Replace, Immediate: contents.Immediate, Info: infos(contents, in.API),
		// kbuild forms <name>.o from the parts, so no part may be called so.
		Main:         contents.Name + "_main",
		Self:         refs[selfSymbol],
		RCUCallbacks: slices.ContainsFunc(plan.RCUCallers, func(name string) bool { return refs[name] }),
	}
	values.ImportNS = slices.Clone(contents.ImportNS)
	slices.Sort(values.ImportNS)
	values.ImportNS = slices.Compact(values.ImportNS)
	for _, x := range contents.Patches {
		values.Patches = append(values.Patches, patchLine(x))
	}
	for _, s := range contents.States {
		values.States = append(values.States, templates.State(s))
	}
	idents := namer{used: map[string]bool{}}
	for _, object := range contents.Objects {
		to := templates.Object{Name: object.Name, Vmlinux: isVmlinux(object.Name),
			Ident: idents.name("funcs_" + object.Name)}
		for _, fn := range object.Funcs {
			tf := templates.Func{
				Name: fn.Name, Sympos: fn.Sympos, Immediate: fn.Immediate, Unit: fn.Unit, Reasons: fn.Reasons,
				Ident: idents.name("new_" + fn.Name), Symbol: fn.NewSymbol,
			}
			if fn.Sympos > 0 && !in.API.OldSympos {
				tf.OldAddr = fn.Shipped.Addr
			}
			to.Funcs = append(to.Funcs, tf)
		}
		for _, cb := range callbacksOf(note.Callbacks(object.Callbacks)) {
			to.Callbacks = append(to.Callbacks, templates.Callback{
				Field: cb.field, Type: cb.result, Ident: idents.name(cb.field + "_" + object.Name), Symbol: cb.symbol,
			})
		}
		values.Objects = append(values.Objects, to)
	}
	values.Units = unitFiles(values.Name, in.Units)
	return values
}

// selfSymbol is how prebuilt objects name the struct klp_patch of the module.
const selfSymbol = "klpforge_patch"

// references are the symbols that the objects, which checkUnits has read, have
// undefined, livepatch symbols by the name in their object.
func references(units []Unit) map[string]bool {
	out := map[string]bool{}
	for _, unit := range units {
		elfFile, err := elfobj.Read(unit.Object)
		if err != nil {
			continue
		}
		for _, sym := range elfFile.Symbols {
			if sym.Sec != elfobj.SecUndef {
				continue
			}
			if klp, err := elfobj.ParseKlpSymbol(sym.Name); err == nil {
				out[klp.Name] = true
			} else {
				out[sym.Name] = true
			}
		}
	}
	return out
}

// patchLine is what a reviewer reads of a patch.
func patchLine(patch plan.Patch) string {
	line := patch.Name
	if patch.Subject != "" {
		line += ": " + patch.Subject
	}
	ids := slices.DeleteFunc(slices.Clone(patch.IDs), func(id string) bool { return id == patch.Name })
	if len(ids) > 0 {
		line += " (" + strings.Join(ids, ", ") + ")"
	}
	return line
}

// infos says in modinfo, which any tool reads, what orders releases. The note
// says the same and more.
func infos(contents *plan.Plan, api klpapi.API) []templates.Info {
	replace := "N"
	if contents.Replace {
		replace = "Y"
	}
	all := []templates.Info{
		{Key: note.InfoProduct, Value: contents.Product}, {Key: note.InfoVendor, Value: contents.Vendor},
		{Key: note.InfoReplace, Value: replace}, {Key: note.InfoGeneration, Value: api.Generation()},
	}
	return slices.DeleteFunc(all, func(i templates.Info) bool { return i.Value == "" })
}

// unitFiles names the units' files: '/' becomes '_', and what collides gets a
// number. The order is that of the units' names.
func unitFiles(module string, units []Unit) []templates.Unit {
	names := make([]string, len(units))
	for i, unit := range units {
		names[i] = unit.Name
	}
	slices.Sort(names)
	used := map[string]bool{module: true, module + "_main": true, module + ".mod": true}
	var out []templates.Unit
	for _, name := range names {
		stem := strings.Map(func(r rune) rune {
			if r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z' {
				return r
			}
			return '_'
		}, strings.TrimSuffix(name, ".o"))
		stem = strings.TrimLeft(stem, ".-")
		file := stem
		for i := 2; used[file]; i++ {
			file = fmt.Sprintf("%s_%d", stem, i)
		}
		used[file] = true
		out = append(out, templates.Unit{Name: name, File: file + ".o"})
	}
	return out
}

// namer makes unique C identifiers that resemble given names.
type namer struct{ used map[string]bool }

func (n *namer) name(text string) string {
	base := strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z' {
			return r
		}
		return '_'
	}, text)
	id := base
	for i := 2; n.used[id]; i++ {
		id = fmt.Sprintf("%s_%d", base, i)
	}
	n.used[id] = true
	return id
}

// writeDir brings dir to hold files. What an earlier emission left there and
// would be built into the module, its prebuilt objects, goes.
func writeDir(dir string, files []file) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("make directory for the module: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		if _, err := note.ReadFile(filepath.Join(dir, ManifestFile)); err != nil {
			return fmt.Errorf("emit to %s: %w; choose another directory or empty this one", dir, ErrNotEmpty)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".o_shipped") {
				if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	for _, f := range files {
		if err := writeFile(filepath.Join(dir, f.name), f.data); err != nil {
			return fmt.Errorf("emit: %w", err)
		}
	}
	return nil
}

// writeFile replaces path atomically; on failure the old content stays. An
// existing file keeps its permission bits.
func writeFile(path string, data []byte) (err error) {
	mode := os.FileMode(0o644)
	if st, err := os.Stat(path); err == nil {
		mode = st.Mode().Perm()
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temp.Name())
		}
	}()
	_, err = temp.Write(data)
	if e := temp.Chmod(mode); err == nil {
		err = e
	}
	if e := temp.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
