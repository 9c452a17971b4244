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
	for _, f := range e.Faults {
		where := e.File
		if f.Line > 0 {
			where += fmt.Sprintf(":%d", f.Line)
		}
		lines = append(lines, where+": "+f.Text)
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
	m, err := parse(path, text)
	if err != nil {
		return nil, err
	}
	m.Dir = filepath.Dir(path)
	return m, nil
}

func parse(path string, text []byte) (*Manifest, error) {
	m := &Manifest{}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	err := d.Decode(m)
	if errors.Is(err, io.EOF) {
		return nil, &Error{path, []Fault{{0, "the manifest is empty"}}}
	}
	if err != nil {
		return nil, &Error{path, yamlFaults(err)}
	}
	if d.Decode(new(any)) != io.EOF {
		return nil, &Error{path, []Fault{{0, "the file holds more than one document"}}}
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, &Error{path, yamlFaults(err)}
	}
	c := checker{m: m, root: root.Content[0]}
	c.check()
	if len(c.faults) > 0 {
		slices.SortStableFunc(c.faults, func(a, b Fault) int { return a.Line - b.Line })
		return nil, &Error{path, c.faults}
	}
	return m, nil
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
		f := Fault{Text: strings.TrimPrefix(s, "yaml: ")}
		if m := lineRE.FindStringSubmatch(s); m != nil {
			fmt.Sscan(m[1], &f.Line)
			f.Text = m[2]
		}
		if m := unknownRE.FindStringSubmatch(f.Text); m != nil {
			f.Text = fmt.Sprintf("unknown key %q", m[1])
		} else if m := twiceRE.FindStringSubmatch(f.Text); m != nil {
			f.Text = fmt.Sprintf("key %q is given twice", m[1]+m[2])
		} else if m := typeRE.FindStringSubmatch(f.Text); m != nil {
			want := "text"
			switch {
			case strings.Contains(m[3], "["):
				want = "a list"
			case strings.Contains(m[3], "int"):
				want = "a number"
			case strings.Contains(m[3], "bool"):
				want = "true or false"
			case strings.Contains(m[3], "manifest."):
				want = "keys and values"
			}
			f.Text = fmt.Sprintf("%q: want %s", m[2], want)
		}
		out = append(out, f)
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
	n := c.root
	line := n.Line
	for _, p := range path {
		var next *yaml.Node
		switch p := p.(type) {
		case string:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == p {
					next = n.Content[i+1]
					line = n.Content[i].Line
				}
			}
		case int:
			if p < len(n.Content) {
				next = n.Content[p]
				line = next.Line
			}
		}
		if next == nil {
			return line
		}
		for next.Kind == yaml.AliasNode {
			next = next.Alias
		}
		n = next
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
	m := c.m
	c.need(m.Name, "name")
	c.need(m.Version, "version")
	for _, s := range []struct{ key, value string }{{"vendor", m.Vendor}, {"description", m.Description}, {"module", m.Module}} {
		if s.value != "" {
			c.need(s.value, s.key)
		}
	}
	for _, hole := range holeRE.FindAllString(m.Module, -1) {
		if !slices.Contains([]string{"{name}", "{version}", "{release}"}, hole) {
			c.fault("module: unknown placeholder %s: {name}, {version} and {release} are replaced", []any{hole}, "module")
		}
	}
	c.targets()
	c.patches()
	for object, kinds := range m.Callbacks {
		for _, k := range kinds {
			if !slices.Contains(callbackKinds, k) {
				c.fault("callbacks of %s: unknown %q: want %s", []any{object, k, strings.Join(callbackKinds, ", ")}, "callbacks", object)
			}
		}
	}
	seen := map[uint64]bool{}
	for i, s := range m.States {
		c.need(s.Meaning, "meaning", "states", i)
		if s.ID == 0 {
			c.fault("state id 0 ends the kernel's table: use another", nil, "states", i)
		} else if seen[s.ID] {
			c.fault("state %d is given twice", []any{s.ID}, "states", i)
		}
		seen[s.ID] = true
	}
	for i, s := range m.Shadows {
		c.need(s.Meaning, "meaning", "shadows", i)
	}
	for i, a := range m.Allow {
		if !findingRE.MatchString(string(a.ID)) {
			c.fault("id %q: want KLP and three digits", []any{a.ID}, "allow", i, "id")
		}
		c.need(a.Reason, "reason", "allow", i)
	}
	if s := m.Signing; s != nil {
		c.need(s.Key, "key", "signing")
		c.need(s.Cert, "cert", "signing")
		if !slices.Contains(hashes, s.Hash) {
			c.fault("hash %q: want %s", []any{s.Hash, strings.Join(hashes[1:], ", ")}, "signing", "hash")
		}
	}
}

func (c *checker) targets() {
	if len(c.m.Targets) == 0 {
		c.fault("targets is missing: name at least one kernel", nil, "targets")
	}
	seen := map[string]bool{}
	for i, t := range c.m.Targets {
		switch {
		case !releaseRE.MatchString(t.Release) || strings.Contains(t.Release, ".."):
			c.fault("release %q: want what uname -r prints", []any{t.Release}, "targets", i, "release")
		case seen[t.Release]:
			c.fault("target %s is given twice", []any{t.Release}, "targets", i)
		}
		seen[t.Release] = true
	}
}

func (c *checker) patches() {
	if len(c.m.Patches) == 0 {
		c.fault("patches is missing: name at least one", nil, "patches")
	}
	for i := range c.m.Patches {
		p := &c.m.Patches[i]
		p.Line = c.line("patches", i)
		switch {
		case p.File == "" && p.Git == "":
			c.fault("a patch needs file, or git and range", nil, "patches", i)
		case p.File != "" && (p.Git != "" || p.Range != ""):
			c.fault("a patch is a file or a git range, not both", nil, "patches", i)
		case p.Git != "" && !strings.Contains(p.Range, ".."):
			c.fault("range %q: want the form A..B", []any{p.Range}, "patches", i, "range")
		}
		for _, pattern := range p.Targets {
			if _, err := filepath.Match(pattern, ""); err != nil {
				c.fault("targets: pattern %q: %v", []any{pattern, err}, "patches", i, "targets")
			} else if !slices.ContainsFunc(c.m.Targets, func(t Target) bool { ok, _ := filepath.Match(pattern, t.Release); return ok }) {
				c.fault("targets: %q is none of the targets", []any{pattern}, "patches", i, "targets")
			}
		}
	}
}
