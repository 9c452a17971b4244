package manifest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const full = `# yes
name: ext4-fixes
vendor: Example
version: "3"
description: fixes for ext4
module: lp_{name}_{version}
replace: true
targets:
  - release: 6.1.0-55-cloud-amd64
  - release: 6.1.0-56-cloud-amd64
    root: /srv/kernels
patches:
  - file: patches/a.patch
    ids: [CVE-2026-12345]
  - git: ../linux
    range: v6.1.192..fixes
    targets: ["6.1.0-55-*"]
callbacks:
  vmlinux: [pre_patch, post_unpatch]
states:
  - id: 7
    version: 2
    meaning: limit is raised
shadows:
  - {id: 0x6b6c70, meaning: length of the list}
allow:
  - id: KLP103
    reason: set by the callback
signing:
  key: key.pem
  cert: cert.pem
`

func TestRead(t *testing.T) {
	p := filepath.Join(t.TempDir(), File)
	if err := os.WriteFile(p, []byte(full), 0o666); err != nil {
		t.Fatal(err)
	}
	m, err := Read(p)
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	want := &Manifest{Name: "ext4-fixes", Vendor: "Example", Version: "3", Description: "fixes for ext4", Module: "lp_{name}_{version}", Replace: &yes,
		Targets:   []Target{{Release: "6.1.0-55-cloud-amd64"}, {"6.1.0-56-cloud-amd64", "/srv/kernels"}},
		Patches:   []Patch{{File: "patches/a.patch", IDs: []string{"CVE-2026-12345"}, Line: 13}, {Git: "../linux", Range: "v6.1.192..fixes", Targets: []string{"6.1.0-55-*"}, Line: 15}},
		Callbacks: map[string][]string{"vmlinux": {"pre_patch", "post_unpatch"}}, States: []State{{7, 2, "limit is raised"}}, Shadows: []Shadow{{0x6b6c70, "length of the list"}},
		Allow: []Allow{{"KLP103", "set by the callback"}}, Signing: &Signing{Key: "key.pem", Cert: "cert.pem"}, Dir: filepath.Dir(p)}
	if d := cmp.Diff(want, m); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestFaults: each fault is one line that names the key and stands at its line.
func TestFaults(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "vendor:", "vender:", `m:3: unknown key "vender"`},
		{"unknown key in a list", "    root: /srv", "    roots: /srv", `m:11: unknown key "roots"`},
		{"key twice", "vendor: Example", "vendor: A\nvendor: B", `m:4: key "vendor" is given twice`},
		{"no name", "name: ext4-fixes\n", "", `m:2: name is missing`},
		{"no version", `version: "3"`, `version: ""`, `m:4: version is missing`},
		{"list for text", "vendor: Example", "vendor: [a]", `m:3: "": want text`},
		{"text for a list", "targets:\n  - release: 6.1.0-55-cloud-amd64\n  - release: 6.1.0-56-cloud-amd64\n    root: /srv/kernels", "targets: all", `m:8: "all": want a list`},
		{"word for a number", "id: 7", "id: seven", `m:21: "seven": want a number`},
		{"negative", "id: 7", "id: -7", `m:21: "-7": want a number`},
		{"not bool", "replace: true", "replace: maybe", `m:7: "maybe": want true or false`},
		{"placeholder", "lp_{name}", "lp_{nmae}", `m:6: module: unknown placeholder {nmae}: {name}, {version} and {release} are replaced`},
		{"release", "release: 6.1.0-55-cloud-amd64", "release: ../etc", `m:9: release "../etc": want what uname -r prints`},
		{"same target", "release: 6.1.0-56-cloud-amd64", "release: 6.1.0-55-cloud-amd64", `m:10: target 6.1.0-55-cloud-amd64 is given twice`},
		{"nothing in a patch", "file: patches/a.patch", "file: ''", `m:13: a patch needs file, or git and range`},
		{"file and git", "file: patches/a.patch", "file: a\n    git: b", `m:13: a patch is a file or a git range, not both`},
		{"range", "range: v6.1.192..fixes", "range: fixes", `m:16: range "fixes": want the form A..B`},
		{"other target", `["6.1.0-55-*"]`, `["6.6*"]`, `m:17: targets: "6.6*" is none of the targets`},
		{"callback", "pre_patch,", "before_patch,", `m:19: callbacks of vmlinux: unknown "before_patch": want pre_patch, post_patch, pre_unpatch, post_unpatch`},
		{"state 0", "id: 7", "id: 0", `m:21: state id 0 ends the kernel's table: use another`},
		{"finding", "id: KLP103", "id: 103", `m:27: id "103": want KLP and three digits`},
		{"no reason", "reason: set by the callback", "reason:", `m:28: reason is missing`},
		{"hash", "cert: cert.pem", "cert: cert.pem\n  hash: md5", `m:32: hash "md5": want sha256, sha384, sha512`},
		{"two documents", "name: ext4-fixes", "name: x\n---\nname: y", `m: the file holds more than one document`},
		{"no yaml", "name: ext4-fixes", "name: [", `m:`},
	} {
		text := strings.Replace(full, c.old, c.new, 1)
		if text == full {
			t.Fatalf("%s: %q does not occur", c.name, c.old)
		}
		_, err := parse("m", []byte(text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	if _, err := parse("m", nil); err == nil {
		t.Error("an empty manifest is accepted")
	}
}

// TestSchema: the schema has every key and forbids others.
func TestSchema(t *testing.T) {
	var s struct {
		Properties           map[string]struct{ Type, Description string }
		Required             []string
		AdditionalProperties bool
	}
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"name", "version", "targets", "patches"}, s.Required); d != "" || s.AdditionalProperties {
		t.Errorf("required (-want +got)\n%s", d)
	}
	for line := range strings.Lines(full) {
		key, _, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(key[:1], " #-") {
			continue
		}
		if p := s.Properties[key]; p.Type == "" || p.Description == "" {
			t.Errorf("key %s: %+v", key, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parse("m", text)
		if (m == nil) == (err == nil) {
			t.Errorf("%v, %v", m, err)
		}
	})
}
