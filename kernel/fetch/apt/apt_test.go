package apt

import (
	"testing"

	"github.com/google/go-cmp/cmp"
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
