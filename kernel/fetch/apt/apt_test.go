package apt

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kernel/kconfig"
)

func TestParseStanzas(t *testing.T) {
	d, err := parseStanzas([]byte("Package: a\nVersion: 1:2-3\nArchitecture: all\nFilename: x\nSHA256: ab\nSize: 7\nDepends: b (>= 1) | c, d:any (= 2)\nPre-Depends: e\n\nPackage: a\nVersion: 0\nStatus: installed\n\nPackage: other\nVersion: 1\nFilename: y\n"), "a")
	want := []deb{{Name: "a", Version: "1:2-3", Arch: "all", SHA256: "ab", Size: 7, Filename: "x",
		Depends: []dependency{{"b", ">=", "1"}, {"d", "=", "2"}, {"e", "", ""}}}}
	if diff := cmp.Diff(want, d, cmp.AllowUnexported(deb{})); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if f := d[0].file(); f != "a_1%3a2-3_all.deb" {
		t.Errorf("file() = %s", f)
	}
}

func TestSuiteOf(t *testing.T) {
	for release, want := range map[string]string{
		"5.10.0-32-cloud-amd64": "bullseye", "6.1.0-55-amd64": "bookworm", "6.12.117+deb12-amd64": "bookworm",
		"6.12.117+deb13-cloud-amd64": "trixie", "7.2.13+deb14-amd64": "sid", "6.1.0+deb99-amd64": "", "6.6.7": "", "6.10.0-1-amd64": "",
		"5.14.0-503.el9.x86_64": "", "7.2.13+deb99999999999999999999-amd64": "",
	} {
		if got := (Provider{}).SuiteOf(release); got != want {
			t.Errorf("%s: %q, want %q", release, got, want)
		}
	}
}

func TestCompilerPackages(t *testing.T) {
	for text, want := range map[string][]string{
		"gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0":                  {"gcc-12"},
		"x86_64-linux-gnu-gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0": {"gcc-12"},
		"Debian clang version 14.0.6":                               {"clang-14", "lld-14", "llvm-14"},
		"":                                                          nil,
	} {
		if d := cmp.Diff(want, (Provider{}).Compiler(kconfig.ParseCompiler(text))); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}

func TestPatchedForRT(t *testing.T) {
	for release, want := range map[string]bool{
		"6.1.0-55-rt-amd64": true, "5.10.0-32-rt-amd64": true, "6.1.0-55-amd64": false, "6.12.117+deb12-rt-amd64": false,
		"7.2.13+deb14-rt-amd64": false, "rt": false,
	} {
		if got := patchedForRT(release); got != want {
			t.Errorf("%s: %v", release, got)
		}
	}
}
