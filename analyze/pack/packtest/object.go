package packtest

import (
	"testing"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfobj"
)

// Object decodes an object file.
func Object(t testing.TB, path string) *model.Model {
	t.Helper()
	f, err := elfobj.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := model.FromObject(f, model.ObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return model.Build(p)
}
