package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// SchemaID names the JSON schema of the manifest.
const SchemaID = "https://klpforge.github.io/schema/livepatch.yaml/v1"

// Schema is the JSON schema of the manifest, made from the Go types.
func Schema() []byte {
	s := object(reflect.TypeFor[Manifest]())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["$id"] = SchemaID
	s["title"] = "klpforge release manifest"
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // the types of this package
	}
	return append(b, '\n')
}

func object(t reflect.Type) map[string]any {
	props := map[string]any{}
	required := []string{}
	for f := range fields(t) {
		p := schemaOf(f.Type)
		p["description"] = f.Tag.Get("doc")
		if d := f.Tag.Get("default"); d == "true" {
			p["default"] = true
		} else if d != "" {
			p["default"] = d
		}
		if f.Tag.Get("required") != "" {
			required = append(required, f.Tag.Get("yaml"))
		}
		props[f.Tag.Get("yaml")] = p
	}
	return map[string]any{"type": "object", "properties": props, "required": required, "additionalProperties": false}
}

// fields yields the fields that the manifest shows.
func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); f.Tag.Get("yaml") != "-" && !yield(f) {
				return
			}
		}
	}
}

func schemaOf(t reflect.Type) map[string]any {
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Struct:
		return object(t)
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	}
	panic(fmt.Sprintf("no schema for %v", t))
}

// Reference lists every key of the manifest with its meaning, as lines of a
// Markdown table.
func Reference() string {
	return "| key | meaning |\n| --- | --- |\n" + rows("", reflect.TypeFor[Manifest]())
}

func rows(prefix string, t reflect.Type) string {
	s := ""
	for f := range fields(t) {
		name := prefix + f.Tag.Get("yaml")
		text := f.Tag.Get("doc")
		if d := f.Tag.Get("default"); d != "" {
			text += "; default `" + d + "`"
		}
		if f.Tag.Get("required") != "" {
			text += "; **required**"
		}
		s += fmt.Sprintf("| `%s` | %s |\n", name, text)
		e := f.Type
		for e.Kind() == reflect.Pointer || e.Kind() == reflect.Slice {
			e = e.Elem()
		}
		if e.Kind() == reflect.Struct {
			s += rows(name+".", e)
		}
	}
	return s
}
