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

func object(typ reflect.Type) map[string]any {
	props := map[string]any{}
	required := []string{}
	for field := range fields(typ) {
		property := schemaOf(field.Type)
		property["description"] = field.Tag.Get("doc")
		if d := field.Tag.Get("default"); d == "true" {
			property["default"] = true
		} else if d != "" {
			property["default"] = d
		}
		if field.Tag.Get("required") != "" {
			required = append(required, field.Tag.Get("yaml"))
		}
		props[field.Tag.Get("yaml")] = property
	}
	return map[string]any{"type": "object", "properties": props, "required": required, "additionalProperties": false}
}

// fields yields the fields that the manifest shows.
func fields(typ reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range typ.NumField() {
			if f := typ.Field(i); f.Tag.Get("yaml") != "-" && !yield(f) {
				return
			}
		}
	}
}

func schemaOf(typ reflect.Type) map[string]any {
	switch typ.Kind() {
	case reflect.Pointer:
		return schemaOf(typ.Elem())
	case reflect.Struct:
		return object(typ)
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(typ.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(typ.Elem())}
	}
	panic(fmt.Sprintf("no schema for %v", typ))
}

// Reference lists every key of the manifest with its meaning, as lines of a
// Markdown table.
func Reference() string {
	return "| key | meaning |\n| --- | --- |\n" + rows("", reflect.TypeFor[Manifest]())
}

func rows(prefix string, typ reflect.Type) string {
	out := ""
	for field := range fields(typ) {
		name := prefix + field.Tag.Get("yaml")
		text := field.Tag.Get("doc")
		if d := field.Tag.Get("default"); d != "" {
			text += "; default `" + d + "`"
		}
		if field.Tag.Get("required") != "" {
			text += "; **required**"
		}
		out += fmt.Sprintf("| `%s` | %s |\n", name, text)
		elem := field.Type
		for elem.Kind() == reflect.Pointer || elem.Kind() == reflect.Slice {
			elem = elem.Elem()
		}
		if elem.Kind() == reflect.Struct {
			out += rows(name+".", elem)
		}
	}
	return out
}
