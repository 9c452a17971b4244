package kbuild

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Names lists by which names a livepatch knows what the object is part of: "vmlinux"
// first, then modules by path. It is empty for an object that is part of neither.
func (o Owner) Names() []string {
	var out []string
	if o.Kind == KindVmlinux {
		out = append(out, "vmlinux")
	}
	for _, m := range o.Modules {
		out = append(out, m.Name)
	}
	return out
}

// Defining lists the objects of an owner, "vmlinux" or a module, whose source seems to
// define a function, sorted: its name stands on a line that is not indented and ends
// no statement, as in a definition, or as an argument of a macro that makes one. What
// a macro pastes together is not found. symbol may have a suffix of the compiler's.
//
// most bounds the list: with more objects there is no telling, and it is empty.
func (t *Tree) Defining(symbol, owner string, most int) ([]string, error) {
	name, _, _ := strings.Cut(symbol, ".")
	defines, err := definition(name)
	if err != nil {
		return nil, err
	}
	objects, err := t.Objects()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, object := range objects {
		text, err := os.ReadFile(filepath.Join(t.Dir, strings.TrimSuffix(object, ".o")+".c"))
		if err != nil || !strings.Contains(string(text), name) || !defines.Match(text) {
			continue
		}
		o, err := t.Owner(object)
		if err != nil {
			return nil, err
		}
		if slices.Contains(o.Names(), owner) {
			out = append(out, object)
		}
	}
	if len(out) > most {
		return nil, nil
	}
	return out, nil
}

// definition matches a text with a line that may define a function.
func definition(name string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(`(?m)^(?:[A-Za-z_][^;\n]*)?\b` + regexp.QuoteMeta(name) + `\b[^;\n]*$`)
	if err != nil {
		return nil, fmt.Errorf("look for the source of %s: %w", name, err)
	}
	return re, nil
}
