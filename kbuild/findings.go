package kbuild

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
)

// Selection is what becomes of affected objects and changed files.
type Selection struct {
	Objects map[string]Owner // to be compiled and compared
	// Headers: a changed file is included by others, so that many of the objects may come
	// out the same; Work.Thin tells which.
	Headers bool
	Found   []finding.Finding
	Notes   []finding.Remark // files that are left out, and why
}

// Select splits what is affected into objects to compile, and files that a livepatch
// cannot carry; of these each is named. Changed files that the build reads otherwise
// than by compiling them are Work.CheckInputs' to judge.
func (a *Affected) Select() *Selection {
	selected := &Selection{Objects: map[string]Owner{}}
	for _, f := range a.Files {
		selected.file(&f)
	}
	for _, object := range a.Objects {
		if path.Ext(object.Source) == ".rs" {
			continue // its source was refused above
		}
		if object.Assembly {
			selected.unsupported(object.Object, finding.Warning,
				"an assembly object depends on "+strings.Join(object.Because, ", ")+"; it is not compared", "")
			continue
		}
		selected.Objects[object.Object] = object.Owner
	}
	for _, object := range a.Special {
		if object.Input {
			continue // see CheckInputs
		}
		severity := finding.Warning
		if slices.Contains(object.Because, object.Source) {
			severity = finding.Error
		}
		selected.unsupported(object.Object, severity,
			fmt.Sprintf("built into something a livepatch cannot reach (%s); depends on %s", object.Owner.Reason,
				strings.Join(object.Because, ", ")),
			"leave this part out of the livepatch")
	}
	return selected
}

// file says what becomes of one changed file.
func (s *Selection) file(changed *ChangedFile) {
	leftOut := func(why string) { s.leftOut(changed.Path, why) }
	unread := !changed.Used && len(changed.Readers) == 0

	// Findings are for what a livepatch would lack; what the configuration does not build is only
	// noted.
	switch changed.Class {
	case ClassInclude:
		s.Headers = true
		if unread {
			leftOut("not included by anything that the target's configuration builds")
		}
	case ClassSource:
		if unread {
			leftOut("not built by the target's configuration")
		}
	case ClassAssembly:
		if changed.Used {
			s.unsupported(changed.Path, finding.Error,
				"assembly cannot be livepatched: its functions have no ftrace entries",
				"change the C functions that call it")
		} else {
			leftOut("assembly that the target's configuration does not build")
		}
	case ClassBuild:
		s.unsupported(changed.Path, finding.Warning,
			"build rules and configuration of a running kernel cannot change; only new objects that it adds are "+
				"taken up", "")
	case ClassRust:
		if changed.Used {
			s.unsupported(changed.Path, finding.Error,
				"Rust objects are not built: nothing can be said of what this change does, and the livepatch would lack it",
				"leave this file out of the livepatch, if the rest of the patch stands without it")
		} else {
			leftOut("not built by the target's configuration")
		}
	case ClassNewSource:
	default:
		if why := changed.leftOut(); why != "" {
			leftOut(why)
		}
	}
}

// leftOut notes a file that the livepatch does without, and why.
func (s *Selection) leftOut(file, why string) {
	s.Notes = append(s.Notes, finding.Remarkf(finding.RemarkLeftOut, "%s: %s; left out", file, why))
}

func (s *Selection) unsupported(place string, severity finding.Severity, message, remedy string) {
	s.Found = append(s.Found, finding.Finding{ID: finding.IDUnsupported, Severity: severity, Message: message,
		Remedy: remedy}.
		InFile(finding.Position{File: place}))
}

// leftOut says why a file that is no code is left out, "" if CheckInputs tells.
func (f *ChangedFile) leftOut() string {
	switch {
	case len(f.Readers) == 0:
		return "no rule of the kernel's build reads it"
	case slices.ContainsFunc(f.Readers, func(r Reader) bool { return !r.Tool }):
		return ""
	case f.Readers[0].Made == f.Path:
		return "a script of the build (" + f.Readers[0].Where +
			"), which makes the livepatch with the target's own"
	case strings.HasPrefix(f.Path, "tools/"):
		return "a part of " + f.Readers[0].Made +
			", a program of the build, which makes the livepatch with the target's own"
	}
	return ""
}

// Read reports whether the target's build reads a changed file in any way, so that the
// change matters.
func (f *ChangedFile) Read() bool {
	return f.Used || len(f.Readers) > 0 || f.Class == ClassBuild || f.Class == ClassNewSource
}

// DropRemoved takes objects out of the selection whose source the patches delete or
// rename, as they cannot be compiled, and refuses them. moved has the deleted files,
// with the new name of those that were renamed.
func (s *Selection) DropRemoved(a *Affected, moved map[string]string) {
	for _, object := range a.Objects {
		to, gone := moved[object.Source]
		if !gone {
			continue
		}
		delete(s.Objects, object.Object)
		names := strings.Join(object.Owner.Names(), ", ")
		found := finding.Finding{ID: finding.IDRemovedSource, Severity: finding.Error,
			Message: fmt.Sprintf("it is built into %s, and the patches delete it; a livepatch cannot take code out "+
				"of the running kernel", names),
			Remedy: "leave the deletion out of the livepatch, and make the functions that must not run any more " +
				"return at once"}
		if to != "" {
			found.Message = fmt.Sprintf("it is built into %s, and the patches rename it to %s; the functions of both "+
				"would not be compared", names, to)
			found.Remedy = "make the change to " + object.Source + " under its own name, without the rename"
		}
		s.Found = append(s.Found, found.InFile(finding.Position{File: object.Source}))
	}
}

// checkInput reports what the build makes of a changed file: an error if that gets into
// the kernel, a warning if it is one of the build's own programs.
func checkInput(file string, readers []Reader) []finding.Finding {
	var made, tools []string
	where := ""
	for _, reader := range readers {
		if reader.Tool {
			tools = append(tools, reader.Made)
		} else {
			made = append(made, reader.Made)
			where = reader.Where
		}
	}
	slices.Sort(made)
	slices.Sort(tools)
	made, tools = slices.Compact(made), slices.Compact(tools)

	at := finding.Position{File: file}
	switch {
	case len(made) > 0:
		return []finding.Finding{finding.Finding{ID: finding.IDBuildInput, Severity: finding.Error,
			Message: fmt.Sprintf("the build generates %s from it (%s), and a livepatch does not carry what changes there", firstThree(made), where),
			Remedy:  "leave this file out of the livepatch, or change the C code that uses what is generated"}.InFile(at)}
	case len(tools) > 0 && !strings.HasPrefix(file, "tools/") && !slices.Contains(tools, file):
		return []finding.Finding{finding.Finding{ID: finding.IDBuildInput, Severity: finding.Warning,
			Message: fmt.Sprintf("it is a part of %s, a program of the build; the livepatch is made with the "+
				"target's own, without the change", firstThree(tools)),
			Remedy: "make sure that the fix does not depend on it"}.InFile(at)}
	}
	return nil
}

// firstThree names the first three.
func firstThree(names []string) string {
	const most = 3
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// CheckOutside finds where a changed text of a source plainly names a file of the build
// machine; see ReadsOutside.
func CheckOutside(rel string, old, text []byte) []finding.Finding {
	var out []finding.Finding
	if slices.Contains([]string{".c", ".h", ".S", ".inc", ".def", ".lds"}, path.Ext(rel)) {
		for _, o := range ReadsOutside(rel, old, text) {
			out = append(out, outsideFile(finding.Position{File: rel, Line: o.Line},
				fmt.Sprintf("%s names %s", o.Construct, o.Path)))
		}
	}
	return out
}

// Finding says the error as a finding.
func (e *OutsideError) Finding() finding.Finding {
	return outsideFile(finding.Position{File: e.Object},
		fmt.Sprintf("%s reads %s", cmp.Or(e.Construct, "a source"), e.Path))
}

func outsideFile(at finding.Position, what string) finding.Finding {
	return finding.Finding{ID: finding.IDOutsideFile, Severity: finding.Error,
		Message: what +
			", which is outside of the kernel's tree: it would carry a file of this machine into the module",
		Remedy: "put what it needs into the tree, by the patch"}.InFile(at)
}

// Finding says the error as a finding about its object.
func (e *RulesError) Finding() finding.Finding {
	found := e.FindingAt(e.Object)
	if path.Ext(e.Object) == ".o" {
		found.Unit = e.Object
	}
	return found
}

// FindingAt says the error as a finding about another file of the tree.
func (e *RulesError) FindingAt(file string) finding.Finding {
	var why []string
	for _, p := range e.Problems {
		why = append(why, p.String())
	}
	return finding.Finding{ID: finding.IDBuildRules, Severity: finding.Error,
		Message: "the patch changes build rules, which are not run, and without them it is not known how this is " +
			"compiled: " + firstThree(why),
		Remedy: "read what the patch changes there; klpforge build --trust-patch runs it"}.InFile(finding.Position{File: file})
}

// CheckCRCs compares the versions of the symbols that an object exports, before and
// after the patches: a change means that a type reachable from the interface of one
// changed. Where the patches add an #include, that may only have completed a type which
// was opaque before, and the finding is a warning.
func CheckCRCs(before, after map[string]uint32, addsInclude bool) []finding.Finding {
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if crc, still := after[name]; still && crc != before[name] {
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	const most = 4
	list := strings.Join(changed[:min(len(changed), most)], ", ")
	if len(changed) > most {
		list += ", …"
	}
	found := finding.Finding{ID: finding.IDExportCRC, Severity: finding.Error, Symbol: changed[0],
		Message: fmt.Sprintf("versions of %d exported symbol(s) changed (%s): a type that their interface reaches "+
			"has another layout", len(changed), list),
		Remedy: "keep the type as it is; put new fields into a shadow variable"}
	if addsInclude {
		found.Severity = finding.Warning
		found.Message = fmt.Sprintf("versions of %d exported symbol(s) changed (%s): the added #include completes a "+
			"type that was opaque here, "+
			"or a type has another layout", len(changed), list)
		found.Remedy = "make sure that no type changed"
	}
	return []finding.Finding{found}
}

// CheckConfig tells of options that the prepared tree has otherwise than the target.
func (t *Tree) CheckConfig() []finding.Finding {
	var out []finding.Finding
	for _, d := range t.ConfigDiffs {
		if !d.Expected {
			out = append(out, finding.Finding{ID: finding.IDShippedCode, Severity: finding.Warning, Symbol: d.Name,
				Message: "the prepared tree's configuration differs from the target's: " + d.String(),
				Remedy:  d.Remedy})
		}
	}
	return out
}
