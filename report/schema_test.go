package report

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// sarifSchema is OASIS' schema of SARIF 2.1.0 (sarif-schema-2.1.0.json).
func sarifSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", "sarif-schema-2.1.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSARIFSchema(t *testing.T) {
	schema := sarifSchema(t)
	check := func(t *testing.T, log []byte) error {
		t.Helper()
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(log))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(doc)
	}
	for name, r := range map[string]*Report{
		"everything": sample(),
		"empty":      {},
		"failed":     {Error: "no source", Exit: 3},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := SARIF(&b, r); err != nil {
				t.Fatal(err)
			}
			if err := check(t, b.Bytes()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("the schema refuses", func(t *testing.T) {
		var b bytes.Buffer
		if err := SARIF(&b, sample()); err != nil {
			t.Fatal(err)
		}
		bad := strings.Replace(b.String(), `"level": "none"`, `"level": "verdict"`, 1)
		if err := check(t, []byte(bad)); bad == b.String() || err == nil {
			t.Error("an unknown level passes")
		}
	})
}
