package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/klpforge/klpforge/internal/regular"
)

// Error is what is wrong with a manifest, with one line for each fault.
type Error struct {
	File   string
	Faults []Fault
}

// Fault is one fault at a line (1-based; 0 for the file as a whole).
type Fault struct {
	Line int
	Text string
}

func (e *Error) Error() string {
	var lines []string
	for _, fault := range e.Faults {
		where := e.File
		if fault.Line > 0 {
			where += fmt.Sprintf(":%d", fault.Line)
		}
		lines = append(lines, where+": "+fault.Text)
	}
	return strings.Join(lines, "\n")
}

// maxText bounds a manifest, in bytes.
const maxText = 4 << 20

// Read reads and checks the manifest at path. What is wrong with its text is
// an *Error.
func Read(path string) (*Manifest, error) {
	text, err := regular.Read(path, maxText)
	if err != nil {
		return nil, fmt.Errorf("read release manifest: %w", err)
	}
	manifest, err := parse(path, text)
	if err != nil {
		return nil, err
	}
	manifest.Dir = filepath.Dir(path)
	return manifest, nil
}

func parse(path string, text []byte) (*Manifest, error) {
	manifest := &Manifest{}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	err := decoder.Decode(manifest)
	if errors.Is(err, io.EOF) {
		return nil, &Error{path, []Fault{{0, "the manifest is empty"}}}
	}
	if err != nil {
		return nil, &Error{path, yamlFaults(err)}
	}
	if decoder.Decode(new(any)) != io.EOF {
		return nil, &Error{path, []Fault{{0, "the file holds more than one document"}}}
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, &Error{path, yamlFaults(err)}
	}
	c := checker{m: manifest, root: root.Content[0]}
	c.check()
	if len(c.faults) > 0 {
		slices.SortStableFunc(c.faults, func(a, b Fault) int { return a.Line - b.Line })
		return nil, &Error{path, c.faults}
	}
	return manifest, nil
}

var (
	lineRE    = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	unknownRE = regexp.MustCompile(`^field (\S+) not found in type \S+$`)
	twiceRE   = regexp.MustCompile(`^(?:mapping key "(\S+)" already defined|field (\S+) already set)`)
	typeRE    = regexp.MustCompile("^cannot unmarshal (!!\\S+)(?: `([^`]*)`)? into (.*)$")
)

// yamlFaults says the library's errors in words of the manifest.
func yamlFaults(err error) []Fault {
	list := []string{err.Error()}
	var te *yaml.TypeError
	if errors.As(err, &te) {
		list = te.Errors
	}
	var out []Fault
	for _, s := range list {
		// The decoder speaks of Go's types; its errors are put into words of the file.
		fault := Fault{Text: strings.TrimPrefix(s, "yaml: ")}
		if m := lineRE.FindStringSubmatch(s); m != nil {
			fmt.Sscan(m[1], &fault.Line)
			fault.Text = m[2]
		}
		if m := unknownRE.FindStringSubmatch(fault.Text); m != nil {
			fault.Text = fmt.Sprintf("unknown key %q", m[1])
		} else if m := twiceRE.FindStringSubmatch(fault.Text); m != nil {
			fault.Text = fmt.Sprintf("key %q is given twice", m[1]+m[2])
		} else if match := typeRE.FindStringSubmatch(fault.Text); match != nil {
			want := "text"
			switch {
			case strings.Contains(match[3], "["):
				want = "a list"
			case strings.Contains(match[3], "int"):
				want = "a number"
			case strings.Contains(match[3], "bool"):
				want = "true or false"
			case strings.Contains(match[3], "manifest."):
				want = "keys and values"
			}
			fault.Text = fmt.Sprintf("%q: want %s", match[2], want)
		}
		out = append(out, fault)
	}
	return out
}

// checker looks for what YAML allows and a release does not.
type checker struct {
	m      *Manifest
	root   *yaml.Node
	faults []Fault
}

// line is where a path of keys and indices stands, or its nearest parent.
func (c *checker) line(path ...any) int {
	node := c.root
	line := node.Line
	for _, step := range path {
		var next *yaml.Node
		switch elem := step.(type) {
		case string:
			for i := 0; i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == elem {
					next = node.Content[i+1]
					line = node.Content[i].Line
				}
			}
		case int:
			if elem < len(node.Content) {
				next = node.Content[elem]
				line = next.Line
			}
		}
		if next == nil {
			return line
		}
		for next.Kind == yaml.AliasNode {
			next = next.Alias
		}
		node = next
	}
	return line
}

func (c *checker) fault(format string, args []any, path ...any) {
	c.faults = append(c.faults, Fault{c.line(path...), fmt.Sprintf(format, args...)})
}

func (c *checker) need(value, key string, path ...any) {
	if strings.TrimSpace(value) == "" {
		c.fault("%s is missing", []any{key}, append(path, key)...)
	} else if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' }) {
		c.fault("%s must be one line", []any{key}, append(path, key)...)
	}
}

var (
	releaseRE = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z+._~-]*$`)
	findingRE = regexp.MustCompile(`^KLP[0-9]{3}$`)
	holeRE    = regexp.MustCompile(`\{[^}]*\}`)
)

// Callbacks that an object can have, in the kernel's order.
var callbackKinds = []string{"pre_patch", "post_patch", "pre_unpatch", "post_unpatch"}

// Hashes that a module can be signed with.
var hashes = []string{"", "sha256", "sha384", "sha512"}

func (c *checker) check() {
	manifest := c.m

	// Faults are collected, so that one run shows them all.
	c.need(manifest.Name, "name")
	c.need(manifest.Version, "version")
	for _, field := range []struct{ key, value string }{{"vendor", manifest.Vendor},
		{"description", manifest.Description}, {"module", manifest.Module}} {
		if field.value != "" {
			c.need(field.value, field.key)
		}
	}
	for _, hole := range holeRE.FindAllString(manifest.Module, -1) {
		if !slices.Contains([]string{"{name}", "{version}", "{release}"}, hole) {
			c.fault("module: unknown placeholder %s: {name}, {version} and {release} are replaced", []any{hole},
				"module")
		}
	}

	c.targets()
	c.patches()
	for object, kinds := range manifest.Callbacks {
		for _, k := range kinds {
			if !slices.Contains(callbackKinds, k) {
				c.fault("callbacks of %s: unknown %q: want %s", []any{object, k, strings.Join(callbackKinds, ", ")},
					"callbacks", object)
			}
		}
	}

	seen := map[uint64]bool{}
	for i, state := range manifest.States {
		c.need(state.Meaning, "meaning", "states", i)
		if state.ID == 0 {
			c.fault("state id 0 ends the kernel's table: use another", nil, "states", i)
		} else if seen[state.ID] {
			c.fault("state %d is given twice", []any{state.ID}, "states", i)
		}
		seen[state.ID] = true
	}

	for i, shadow := range manifest.Shadows {
		c.need(shadow.Meaning, "meaning", "shadows", i)
	}
	for i, allowed := range manifest.Allow {
		if !findingRE.MatchString(string(allowed.ID)) {
			c.fault("id %q: want KLP and three digits", []any{allowed.ID}, "allow", i, "id")
		}
		c.need(allowed.Reason, "reason", "allow", i)
	}

	if signing := manifest.Signing; signing != nil {
		c.need(signing.Key, "key", "signing")
		c.need(signing.Cert, "cert", "signing")
		if !slices.Contains(hashes, signing.Hash) {
			c.fault("hash %q: want %s", []any{signing.Hash, strings.Join(hashes[1:], ", ")}, "signing", "hash")
		}
	}
}

func (c *checker) targets() {
	if len(c.m.Targets) == 0 {
		c.fault("targets is missing: name at least one kernel", nil, "targets")
	}
	seen := map[string]bool{}
	for i, target := range c.m.Targets {
		switch {
		case !releaseRE.MatchString(target.Release) || strings.Contains(target.Release, ".."):
			c.fault("release %q: want what uname -r prints", []any{target.Release}, "targets", i, "release")
		case seen[target.Release]:
			c.fault("target %s is given twice", []any{target.Release}, "targets", i)
		}
		seen[target.Release] = true
	}
}

func (c *checker) patches() {
	if len(c.m.Patches) == 0 {
		c.fault("patches is missing: name at least one", nil, "patches")
	}
	for i := range c.m.Patches {
		patch := &c.m.Patches[i]
		patch.Line = c.line("patches", i)
		switch {
		case patch.File == "" && patch.Git == "":
			c.fault("a patch needs file, or git and range", nil, "patches", i)
		case patch.File != "" && (patch.Git != "" || patch.Range != ""):
			c.fault("a patch is a file or a git range, not both", nil, "patches", i)
		case patch.Git != "" && !strings.Contains(patch.Range, ".."):
			c.fault("range %q: want the form A..B", []any{patch.Range}, "patches", i, "range")
		}
		for _, pattern := range patch.Targets {
			if _, err := filepath.Match(pattern, ""); err != nil {
				c.fault("targets: pattern %q: %v", []any{pattern, err}, "patches", i, "targets")
			} else if !slices.ContainsFunc(c.m.Targets, func(t Target) bool {
				ok, _ := filepath.Match(pattern, t.Release)
				return ok
			}) {
				c.fault("targets: %q is none of the targets", []any{pattern}, "patches", i, "targets")
			}
		}
	}
}
