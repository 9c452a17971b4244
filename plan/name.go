package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
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
		return &NameError{name, fmt.Sprintf("it has %d bytes, and the kernel takes %d; give a shorter one", len(name),
			maxName)}
	}
	return nil
}

func nameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// ModuleName makes a module name from a text: what cannot be in one becomes _. One
// that is too long ends in a hash of the whole text, so that two do not become the
// same by being cut.
func ModuleName(text string) string {
	name := []byte(text)
	for i, c := range name {
		if !nameByte(c) {
			name[i] = '_'
		}
	}
	if len(name) > maxName {
		end := hashSuffix(text)
		return string(name[:maxName-len(end)]) + end
	}
	return string(name)
}

// ModuleNameOf is ModuleName for the name of a file: one that differs from others
// only in characters that no module name has gets a hash too. The kernel's own rule
// takes none but "-" and "_" for equal. same is false when the result is another name
// than a person expects who knows that rule.
func ModuleNameOf(file string) (name string, same bool) {
	name = ModuleName(file)
	plain := strings.ReplaceAll(file, "-", "_")
	if len(file) <= maxName && name != plain {
		end := hashSuffix(file)
		name = name[:min(len(name), maxName-len(end))] + end
	}
	return name, name == plain
}

// hashSuffix tells texts apart: nine bytes.
func hashSuffix(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "_" + hex.EncodeToString(sum[:4])
}
