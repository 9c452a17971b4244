package all

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryIDIsExplained looks for ids in the source: whatever can be emitted
// has a text.
func TestEveryIDIsExplained(t *testing.T) {
	r := Registry()
	idRE := regexp.MustCompile(`"(KLP[0-9]{3})"`)
	seen := map[string]bool{}
	for _, dir := range []string{"elfdiff", "locate", "generate", "internal/build", "analyze", "release", "internal/releases"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range idRE.FindAllSubmatch(text, -1) {
				id := string(m[1])
				seen[id] = true
				if c, ok := r.Check(id); !ok || len(c.Doc) < 60 {
					t.Errorf("%s has %s, which klpforge explain does not know", path, id)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range r.Checks() {
		if !seen[c.ID] {
			t.Errorf("%s is explained, but nothing emits it", c.ID)
		}
	}
}
