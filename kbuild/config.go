package kbuild

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/kernel/karch"
)

// ConfigDiff is an option that kconfig gave another value than the target has.
// Values are as written in .config; "" means not set.
type ConfigDiff struct {
	Name     string // "CONFIG_GCC_VERSION"
	Want     string // in the target's configuration
	Got      string // in the prepared tree
	Expected bool   // known not to change code, or told by another difference
	Remedy   string // what to do about it, "" where nothing is known
}

func (d ConfigDiff) String() string {
	show := func(v string) string {
		if v == "" {
			return "not set"
		}
		return v
	}
	return fmt.Sprintf("%s: target has %s, tree has %s", d.Name, show(d.Want), show(d.Got))
}

// harmlessOptions are those that distributions strip from the configuration they
// publish, or that record versions of tools, and that no kernel code looks at in
// a way that would change it.
var harmlessOptions = map[string]bool{
	"CONFIG_CC_VERSION_TEXT":        true,
	"CONFIG_BUILD_SALT":             true,
	"CONFIG_MODULE_SIG_ALL":         true,
	"CONFIG_MODULE_SIG_KEY":         true,
	"CONFIG_SYSTEM_TRUSTED_KEYS":    true,
	"CONFIG_SYSTEM_REVOCATION_KEYS": true,
	"CONFIG_AS_VERSION":             true,
	"CONFIG_LD_VERSION":             true,
	"CONFIG_BINDGEN_VERSION_TEXT":   true,
	"CONFIG_RUST_IS_AVAILABLE":      true,
}

// harmless reports whether an option's value is of no consequence for code.
func harmless(name string) bool {
	return harmlessOptions[name] || slices.ContainsFunc(harmlessPrefixes,
		func(p string) bool { return strings.HasPrefix(name, p) })
}

// harmlessPrefixes are as harmlessOptions: what tools are and can do, and the kind of key
// that a build signs its own modules with.
var harmlessPrefixes = []string{"CONFIG_PAHOLE_", "CONFIG_RUSTC_", "CONFIG_OPENSSL_SUPPORTS_",
	"CONFIG_MODULE_SIG_KEY_TYPE_"}

// kconfig is a parsed .config.
type kconfig struct {
	text    []byte
	hash    string
	version string            // of the kernel it was made for, "" if not said
	values  map[string]string // CONFIG_X -> value as written
}

var configHeader = regexp.MustCompile(`(?m)^# Linux/\S+ (\d+\.\d+(?:\.\d+)?)\S* Kernel Configuration$`)

// maxConfig bounds a configuration, in bytes; those of distributions have 0.3 MB.
const maxConfig = 64 << 20

func readConfig(path string) (*kconfig, error) {
	data, err := regular.Read(path, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("read kernel configuration: %w", err)
	}
	return parseConfig(path, data)
}

// DiffConfig compares the text of another configuration with the prepared tree's; Want
// of a difference is the other's. path is for messages.
func (t *Tree) DiffConfig(path string, text []byte) ([]ConfigDiff, error) {
	c, err := parseConfig(path, text)
	if err != nil {
		return nil, err
	}
	return c.compare(filepath.Join(t.Dir, ".config"))
}

func parseConfig(path string, data []byte) (*kconfig, error) {
	sum := sha256.Sum256(data)
	config := &kconfig{text: data, hash: hex.EncodeToString(sum[:]), values: map[string]string{}}
	if m := configHeader.FindSubmatch(data); m != nil {
		config.version = string(m[1])
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok && strings.HasPrefix(name, "CONFIG_") {
			config.values[name] = value
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read kernel configuration %s: %w", path, err)
	}
	if len(config.values) == 0 {
		return nil, fmt.Errorf("read kernel configuration %s: no CONFIG_ option in it", path)
	}
	return config, nil
}

// arch is the architecture of the kernel, false where no option of one that is known is set.
func (c *kconfig) arch() (karch.Arch, bool) {
	return karch.Configured(func(option string) bool { return c.values["CONFIG_"+option] == "y" })
}

// str returns the value of a string option without its quotes.
func (c *kconfig) str(name string) string { return strings.Trim(c.values[name], `"`) }

// compare lists the differences between c and the completed configuration, by
// option name.
func (c *kconfig) compare(path string) ([]ConfigDiff, error) {
	got, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	var diffs []ConfigDiff
	add := func(name string) {
		want, have := notSet(c.values[name]), notSet(got.values[name])
		if want != have {
			diffs = append(diffs, ConfigDiff{Name: name, Want: want, Got: have, Expected: harmless(name)})
		}
	}
	for name := range c.values {
		add(name)
	}
	for name := range got.values {
		if _, ok := c.values[name]; !ok {
			add(name)
		}
	}
	slices.SortFunc(diffs, func(a, b ConfigDiff) int { return strings.Compare(a.Name, b.Name) })
	return diffs, nil
}

// notSet folds the ways of saying no.
func notSet(v string) string {
	if v == "n" || v == `""` {
		return ""
	}
	return v
}

// sourceVersion reads VERSION.PATCHLEVEL.SUBLEVEL from the top Makefile.
func sourceVersion(makefile string) (string, error) {
	data, err := os.ReadFile(makefile)
	if err != nil {
		return "", fmt.Errorf("find kernel source: %w", err)
	}
	var version [3]string
	for i, name := range []string{"VERSION", "PATCHLEVEL", "SUBLEVEL"} {
		m := regexp.MustCompile(`(?m)^` + name + `\s*=\s*(\d+)\s*$`).FindSubmatch(data)
		if m == nil {
			return "", fmt.Errorf("find kernel source: %s has no %s; is this the top of a kernel tree?", makefile, name)
		}
		version[i] = string(m[1])
	}
	return strings.Join(version[:], "."), nil
}

// findSymvers returns the path of the target's Module.symvers, "" if none is known.
func findSymvers(given string, headers []string) (string, error) {
	if given != "" {
		if _, err := os.Stat(given); err != nil {
			return "", fmt.Errorf("find Module.symvers: %w", err)
		}
		return given, nil
	}
	for _, dir := range headers {
		path := filepath.Join(dir, "Module.symvers")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", nil
}

// generatedFacts are the generated headers that say how the kernel's data is laid
// out. They must be the same in the tree and in the target's header package.
var generatedFacts = []string{
	"include/generated/bounds.h",
	"include/generated/asm-offsets.h",
	"include/generated/timeconst.h",
	"include/generated/utsrelease.h",
	"include/generated/autoconf.h",
}

// compareGenerated compares generated headers with the target's.
func (p *preparation) compareGenerated() ([]string, error) {
	var warnings []string
	for _, rel := range generatedFacts {
		for _, dir := range p.Headers {
			want, err := os.ReadFile(filepath.Join(dir, rel))
			if err != nil {
				continue
			}
			got, err := os.ReadFile(filepath.Join(p.tree, rel))
			if err != nil {
				return nil, fmt.Errorf("compare with the target's headers: %w", err)
			}
			warnings = append(warnings, diffDefines(rel, want, got)...)
		}
	}
	return warnings, nil
}

// diffDefines reports each macro that two headers define differently.
func diffDefines(name string, want, got []byte) []string {
	parse := func(data []byte) map[string]string {
		macros := map[string]string{}
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) >= 2 && f[0] == "#define" {
				value := strings.Join(f[2:], " ")
				value, _, _ = strings.Cut(value, "/*")
				macros[f[1]] = strings.TrimSpace(value)
			}
		}
		return macros
	}

	// Both ways: what the tree lacks or has otherwise, and what it has more.
	wanted, found := parse(want), parse(got)
	var out []string
	for macro, value := range wanted {
		have, ok := found[macro]
		switch {
		case harmless(macro):
		case !ok && value != `""`:
			out = append(out, fmt.Sprintf("%s: target defines %s %s, tree does not", name, macro, value))
		case ok && have != value:
			out = append(out, fmt.Sprintf("%s: target defines %s %s, tree %s", name, macro, value, have))
		}
	}
	for macro, v := range found {
		if _, ok := wanted[macro]; !ok && !harmless(macro) && v != `""` {
			out = append(out, fmt.Sprintf("%s: tree defines %s %s, target does not", name, macro, v))
		}
	}
	slices.Sort(out)
	return out
}

// lateObjtool reports whether kbuild runs objtool when it links, not on each object.
func (c *kconfig) lateObjtool() bool {
	v := c.values
	return v["CONFIG_OBJTOOL"] == "y" && (v["CONFIG_X86_KERNEL_IBT"] == "y" || c.lto() != "")
}
