package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/patchset"
)

// maxName is MODULE_NAME_LEN less the terminator (include/linux/module.h, v6.1, on
// 64 bits).
const maxName = 55

// NameError reports a module name that the kernel or kbuild does not take, or that
// is taken.
type NameError struct{ Name, Why string }

func (e *NameError) Error() string { return fmt.Sprintf("module name %q: %s", e.Name, e.Why) }

// CheckName judges a name that a person gave; "" is none. The kernel wants at most
// 55 bytes and takes "-" for "_"; kbuild makes identifiers of it, behind a prefix of
// its own (modname_flags in scripts/Makefile.lib, v6.1), so that it may begin with a
// digit. The error is a *NameError.
func CheckName(name string) error {
	for _, c := range []byte(name) {
		if !nameByte(c) && c != '-' {
			return &NameError{name, fmt.Sprintf("%q cannot be in one; use letters, digits, _ and -", c)}
		}
	}
	if len(name) > maxName {
		return &NameError{name, fmt.Sprintf("it has %d bytes, and the kernel takes %d; give a shorter one", len(name), maxName)}
	}
	return nil
}

func nameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// ModuleName makes a module name from a text: what cannot be in one becomes _. One
// that is too long ends in a hash of the whole text, so that two do not become the
// same by being cut.
func ModuleName(s string) string {
	b := []byte(s)
	for i, c := range b {
		if !nameByte(c) {
			b[i] = '_'
		}
	}
	if len(b) > maxName {
		sum := sha256.Sum256([]byte(s))
		end := "_" + hex.EncodeToString(sum[:4])
		return string(b[:maxName-len(end)]) + end
	}
	return string(b)
}

// derivedName is ModuleName for the name of a file: one that differs from others
// only in characters that no module name has gets a hash too, as the kernel's own
// rule takes none but "-" and "_" for equal.
func derivedName(s string) string {
	name := ModuleName(s)
	if len(s) > maxName || name == strings.ReplaceAll(s, "-", "_") {
		return name
	}
	sum := sha256.Sum256([]byte(s))
	return ModuleName(name[:min(len(name), maxName-9)] + "_" + hex.EncodeToString(sum[:4]))
}

// nameOf decides the module's name. The note says what a person who reads the names
// of the files would not expect; it is "" if there is nothing to say.
func nameOf(opt *Options, series *patchset.Series) (name, note string) {
	if opt.Name != "" {
		if opt.NameFrom != "" {
			note = fmt.Sprintf("the module is called %s, which others may be too: %s cannot be a module's name", opt.Name, opt.NameFrom)
		}
		return strings.ReplaceAll(opt.Name, "-", "_"), note
	}
	if opt.Output != "" {
		from := strings.TrimSuffix(filepath.Base(opt.Output), ".ko")
		if name = derivedName(from); name != strings.ReplaceAll(from, "-", "_") {
			note = fmt.Sprintf("the module is called %s: %s cannot be a module's name", name, filepath.Base(opt.Output))
		}
		return name, note
	}
	first := filepath.Base(series.Patches[0].ID)
	from := "livepatch_" + strings.TrimSuffix(strings.TrimSuffix(first, ".patch"), ".diff")
	if name = derivedName(from); name != strings.ReplaceAll(from, "-", "_") {
		note = fmt.Sprintf("the module is called %s: %s cannot be a module's name", name, from)
	} else if len(series.Patches) > 1 {
		note = fmt.Sprintf("the module is called %s, after the first of %d patches; --name gives another", name, len(series.Patches))
	}
	return name, note
}

// nameIsFree makes sure that the target has no module of the name: the kernel loads
// one module of a name.
func (r *run) nameIsFree() error {
	if r.opt.DiffOnly {
		return nil
	}
	if r.target.modules.Builtin(r.name) {
		return &NameError{r.name, "a part of " + r.target.Release() + " is called so (modules.builtin), and the kernel has one of a name; give another with --name"}
	}
	_, taken := r.target.modules.Find(r.name)
	for _, m := range r.target.extra {
		taken = taken || m.Name == r.name
	}
	if taken {
		return &NameError{r.name, "a module of " + r.target.Release() + " is called so, and the kernel loads one of a name; give another with --name"}
	}
	return nil
}
