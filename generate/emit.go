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
	p := clonePlan(in.Plan)
	p.Sort()
	if err := checkPlan(&p); err != nil {
		return nil, err
	}
	refs, err := checkUnits(&p, in.Units)
	if err != nil {
		return nil, err
	}
	if err := checkAPI(&p, in.API, len(refs) > 0); err != nil {
		return nil, err
	}
	addReferenced(&p, refs)
	m := NewNote(p, in.API)
	setContents(m, in.Units)
	out, err := render(&p, in, m)
	if err != nil {
		return nil, err
	}
	return m, writeDir(dir, out)
}

func clonePlan(p plan.Plan) plan.Plan {
	p.Objects = slices.Clone(p.Objects)
	for i := range p.Objects {
		p.Objects[i].Funcs = slices.Clone(p.Objects[i].Funcs)
	}
	return p
}

// addReferenced adds the objects of refs that p does not have.
func addReferenced(p *plan.Plan, refs []elfobj.KlpSymbol) {
	for _, r := range refs {
		if isVmlinux(r.Object) || slices.ContainsFunc(p.Objects, func(o plan.Object) bool { return o.Name == r.Object }) {
			continue
		}
		p.Objects = append(p.Objects, plan.Object{Name: r.Object})
	}
	p.Sort()
}

// file is one file to write.
type file struct {
	name string
	data []byte
}

func render(p *plan.Plan, in Input, m *note.Note) ([]file, error) {
	v := view(p, in)
	var src, kbuild, makefile bytes.Buffer
	err := errors.Join(templates.Source(&src, v), templates.Kbuild(&kbuild, v), templates.Makefile(&makefile, v))
	if err != nil {
		return nil, err
	}
	manifest, err := m.Encode()
	if err != nil {
		return nil, err
	}
	out := []file{
		// First, so that an interrupted emission can be repeated.
		{ManifestFile, manifest},
		{v.Main + ".c", src.Bytes()}, {"Kbuild", kbuild.Bytes()}, {"Makefile", makefile.Bytes()},
	}
	for _, u := range v.Units {
		i := slices.IndexFunc(in.Units, func(w Unit) bool { return w.Name == u.Name })
		out = append(out, file{u.File + "_shipped", in.Units[i].Object})
	}
	return out, nil
}

// view translates the plan to what the templates show.
func view(p *plan.Plan, in Input) templates.View {
	refs := references(in.Units)
	v := templates.View{
		API: in.API, Name: p.Name, Description: p.Description, Version: p.Version, Release: p.Release,
		Replace: p.Replace, Immediate: p.Immediate, Info: infos(p, in.API),
		// kbuild forms <name>.o from the parts, so no part may be called so.
		Main:         p.Name + "_main",
		Self:         refs[selfSymbol],
		RCUCallbacks: slices.ContainsFunc(plan.RCUCallers, func(name string) bool { return refs[name] }),
	}
	v.ImportNS = slices.Clone(p.ImportNS)
	slices.Sort(v.ImportNS)
	v.ImportNS = slices.Compact(v.ImportNS)
	for _, x := range p.Patches {
		v.Patches = append(v.Patches, patchLine(x))
	}
	for _, s := range p.States {
		v.States = append(v.States, templates.State(s))
	}
	idents := namer{used: map[string]bool{}}
	for _, o := range p.Objects {
		to := templates.Object{Name: o.Name, Vmlinux: isVmlinux(o.Name), Ident: idents.name("funcs_" + o.Name)}
		for _, f := range o.Funcs {
			tf := templates.Func{
				Name: f.Name, Sympos: f.Sympos, Immediate: f.Immediate, Unit: f.Unit, Reasons: f.Reasons,
				Ident: idents.name("new_" + f.Name), Symbol: f.NewSymbol,
			}
			if f.Sympos > 0 && !in.API.OldSympos {
				tf.OldAddr = f.Shipped.Addr
			}
			to.Funcs = append(to.Funcs, tf)
		}
		for _, cb := range callbacksOf(note.Callbacks(o.Callbacks)) {
			to.Callbacks = append(to.Callbacks, templates.Callback{
				Field: cb.field, Type: cb.result, Ident: idents.name(cb.field + "_" + o.Name), Symbol: cb.symbol,
			})
		}
		v.Objects = append(v.Objects, to)
	}
	v.Units = unitFiles(v.Name, in.Units)
	return v
}

// selfSymbol is how prebuilt objects name the struct klp_patch of the module.
const selfSymbol = "klpforge_patch"

// references are the symbols that the objects, which checkUnits has read, have
// undefined, livepatch symbols by the name in their object.
func references(units []Unit) map[string]bool {
	out := map[string]bool{}
	for _, u := range units {
		f, err := elfobj.Read(u.Object)
		if err != nil {
			continue
		}
		for _, s := range f.Symbols {
			if s.Sec != elfobj.SecUndef {
				continue
			}
			if k, err := elfobj.ParseKlpSymbol(s.Name); err == nil {
				out[k.Name] = true
			} else {
				out[s.Name] = true
			}
		}
	}
	return out
}

// patchLine is what a reviewer reads of a patch.
func patchLine(p plan.Patch) string {
	s := p.Name
	if p.Subject != "" {
		s += ": " + p.Subject
	}
	ids := slices.DeleteFunc(slices.Clone(p.IDs), func(id string) bool { return id == p.Name })
	if len(ids) > 0 {
		s += " (" + strings.Join(ids, ", ") + ")"
	}
	return s
}

// infos says in modinfo, which any tool reads, what orders releases. The note
// says the same and more.
func infos(p *plan.Plan, api klpapi.API) []templates.Info {
	replace := "N"
	if p.Replace {
		replace = "Y"
	}
	all := []templates.Info{
		{Key: note.InfoProduct, Value: p.Product}, {Key: note.InfoVendor, Value: p.Vendor},
		{Key: note.InfoReplace, Value: replace}, {Key: note.InfoGeneration, Value: api.Generation()},
	}
	return slices.DeleteFunc(all, func(i templates.Info) bool { return i.Value == "" })
}

// unitFiles names the units' files: '/' becomes '_', and what collides gets a
// number. The order is that of the units' names.
func unitFiles(module string, units []Unit) []templates.Unit {
	names := make([]string, len(units))
	for i, u := range units {
		names[i] = u.Name
	}
	slices.Sort(names)
	used := map[string]bool{module: true, module + "_main": true, module + ".mod": true}
	var out []templates.Unit
	for _, n := range names {
		stem := strings.Map(func(r rune) rune {
			if r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z' {
				return r
			}
			return '_'
		}, strings.TrimSuffix(n, ".o"))
		stem = strings.TrimLeft(stem, ".-")
		file := stem
		for i := 2; used[file]; i++ {
			file = fmt.Sprintf("%s_%d", stem, i)
		}
		used[file] = true
		out = append(out, templates.Unit{Name: n, File: file + ".o"})
	}
	return out
}

// namer makes unique C identifiers that resemble given names.
type namer struct{ used map[string]bool }

func (n *namer) name(s string) string {
	base := strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z' {
			return r
		}
		return '_'
	}, s)
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
	t, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(t.Name())
		}
	}()
	_, err = t.Write(data)
	if e := t.Chmod(mode); err == nil {
		err = e
	}
	if e := t.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(t.Name(), path)
}
