package kbuild

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// A variant is in the object, and in nothing else that is compiled afterwards.
func TestVaried(t *testing.T) {
	ctx := context.Background()
	w := mustWork(t, mustPrepare(t, fakeOptions(t)))
	const object, header = "init/main.o", "include/linux/value.h"
	if err := w.Write(header, []byte("#define DEMO_VALUE 42\n#if 1\n#endif\n#if 1\n#endif\n")); err != nil {
		t.Fatal(err)
	}
	compile := func() []byte {
		t.Helper()
		built, err := w.After(ctx, []string{object})
		if err != nil {
			t.Fatal(err)
		}
		return mustRead(t, built[0].Path)
	}
	ordinary := compile()
	if err := w.Write(header, []byte("#define DEMO_VALUE 77\n")); err != nil {
		t.Fatal(err)
	}
	other := compile()
	text := "#define DEMO_VALUE 42\n#if 1\n#endif\n#if 1\n#endif\n"
	if err := w.Write(header, []byte(text)); err != nil {
		t.Fatal(err)
	}

	b, ok, err := w.Varied(ctx, object, false, []*Variant{{header, "#undef DEMO_VALUE\n#define DEMO_VALUE 77\n"}})
	if err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
	if !bytes.Equal(other, mustRead(t, b.Path)) {
		t.Error("the variant is not in the object")
	}
	for _, v := range [][]*Variant{
		{{"include/linux/none.h", "x"}},                              // no such header
		{{"include/linux/demo.h", "x"}},                              // no #endif in it
		{{header, "#error\n"}},                                       // does not compile
		{{header, "#define FINE\n"}, {"include/linux/none.h", "\n"}}, // the second fails
	} {
		if b, ok, err := w.Varied(ctx, object, false, v); err != nil || ok || b != nil {
			t.Errorf("%s: %v, %v, %v", v[0].header, b, ok, err)
		}
	}
	if now, err := w.Read(header); err != nil || string(now) != text {
		t.Errorf("the header is %q, %v", now, err)
	}
	if !bytes.Equal(ordinary, compile()) {
		t.Error("the variant stays in the tree")
	}
}

// The text goes in front of the end of the guard, which is the last #endif.
func TestVariantEdit(t *testing.T) {
	v := &Variant{"x.h", "TEXT\n"}
	got, ok := v.edit([]byte("#ifndef X\n#if 1\n#endif\nold\n#endif /* X */\n"))
	if !ok || string(got) != "#ifndef X\n#if 1\n#endif\nold\nTEXT\n#endif /* X */\n" {
		t.Errorf("%q, %v", got, ok)
	}
	for _, v := range []*Variant{StaticBranches, RuntimeConstants} {
		if !strings.HasPrefix(v.text, "\n#ifndef __ASSEMBLY__\n") || !strings.HasSuffix(v.text, "#endif\n") {
			t.Errorf("%s: %q", v.header, v.text)
		}
	}
}
