package kimage

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
)

// withConfig is an image whose .rodata holds what kernel/configs.c puts there.
func withConfig(t *testing.T, text, end string) *Image {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data := "before\x00IKCFG_ST" + packed.String() + end + "\x00after"
	return &Image{Path: "vmlinux", Sections: []Section{{Name: ".rodata", data: []byte(data)}}}
}

func TestConfigInImage(t *testing.T) {
	const text = "CONFIG_SMP=y\n# CONFIG_FOO is not set\n"
	got, err := withConfig(t, text, "IKCFG_ED").Config()
	if err != nil || string(got) != text {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := withConfig(t, text, "").Config(); err == nil || !strings.Contains(err.Error(), "it has no end") {
		t.Errorf("without an end: %v", err)
	}
	for _, im := range []*Image{{}, {Sections: []Section{{Name: ".rodata", data: []byte("IKCFG_ST and IKCFG_ED are words")}}}} {
		if got, err := im.Config(); got != nil || err != nil {
			t.Errorf("an image without one: %q, %v", got, err)
		}
	}
}
