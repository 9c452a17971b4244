package elfobj

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	klpSymPrefix  = ".klp.sym."
	klpRelaPrefix = ".klp.rela."
)

// Lengths that the kernel's parser accepts, in bytes without the terminating
// zero (klp_resolve_symbols, kernel/livepatch/core.c, v6.1). Before 6.1 names
// end at 127 bytes, but then no symbol of the target is longer either.
const (
	MaxKlpObject = 55
	MaxKlpName   = 511
)

// IsKlpSymbol reports whether name has the form of a livepatch symbol
// (Documentation/livepatch/module-elf-format.rst, v6.1).
func IsKlpSymbol(name string) bool { return strings.HasPrefix(name, klpSymPrefix) }

// KlpSymbol is what a name of the form .klp.sym.<object>.<symbol>,<position>
// says.
type KlpSymbol struct {
	Object string // "vmlinux" or a module
	Name   string // as in the object's kallsyms
	Pos    int    // 0 when unique, else 1-based position among namesakes
}

// String gives the symbol's full name in the module.
func (k KlpSymbol) String() string {
	return klpSymPrefix + k.Object + "." + k.Name + "," + strconv.Itoa(k.Pos)
}

// ParseKlpSymbol reads the name of a livepatch symbol, with the limits of the
// kernel's own parser. The error names what is wrong.
func ParseKlpSymbol(name string) (KlpSymbol, error) {
	rest, ok := strings.CutPrefix(name, klpSymPrefix)
	if !ok {
		return KlpSymbol{}, fmt.Errorf("livepatch symbol %q: does not begin with %s", name, klpSymPrefix)
	}
	object, rest, ok := strings.Cut(rest, ".")
	if !ok || object == "" {
		return KlpSymbol{}, fmt.Errorf("livepatch symbol %q: has no object name", name)
	}
	sym, pos, ok := strings.Cut(rest, ",")
	if !ok || sym == "" {
		return KlpSymbol{}, fmt.Errorf("livepatch symbol %q: has no symbol name and position", name)
	}
	number, err := strconv.ParseUint(pos, 10, 31)
	if err != nil || pos[0] == '+' {
		return KlpSymbol{}, fmt.Errorf("livepatch symbol %q: position %q is not a number", name, pos)
	}
	switch {
	case len(object) > MaxKlpObject:
		return KlpSymbol{}, fmt.Errorf("livepatch symbol %q: object name is longer than %d bytes", name, MaxKlpObject)
	case len(sym) > MaxKlpName:
		return KlpSymbol{}, fmt.Errorf("livepatch symbol %q: symbol name is longer than %d bytes", name, MaxKlpName)
	}
	return KlpSymbol{Object: object, Name: sym, Pos: int(number)}, nil
}

// KlpRelaName names the relocation table that patches section for object. The
// kernel reads the object only; the rest is for people.
func KlpRelaName(object, section string) string {
	return klpRelaPrefix + object + "." + strings.TrimPrefix(section, ".")
}

// KlpRelaObject returns the object that a .klp.rela.<object>.<section> table is
// for, as the kernel reads it.
func KlpRelaObject(name string) (string, error) {
	rest, ok := strings.CutPrefix(name, klpRelaPrefix)
	if !ok {
		return "", fmt.Errorf("livepatch relocation section %q: does not begin with %s", name, klpRelaPrefix)
	}
	object, _, ok := strings.Cut(rest, ".")
	if !ok || object == "" || len(object) > MaxKlpObject {
		return "", fmt.Errorf("livepatch relocation section %q: has no proper object name", name)
	}
	return object, nil
}
