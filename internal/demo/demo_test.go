package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

func TestNewest(t *testing.T) {
	tests := []struct {
		name string
		in   []string
		want string
	}{
		{"numbers, not letters", []string{"linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-10-cloud-amd64"}, "6.1.0-10-cloud-amd64"},
		{"other flavours", []string{"linux-image-6.1.0-99-amd64", "linux-image-6.1.0-98-cloud-amd64-dbg", "linux-image-6.1.0-3-cloud-amd64"}, "6.1.0-3-cloud-amd64"},
		{"none", []string{"linux-image-6.12.117+deb12-cloud-amd64"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := newest(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNarrator(t *testing.T) {
	var out bytes.Buffer
	tell := teller{w: &out}
	w := tell.narrator(map[string]string{"one": "first", "timed": "took %d ms", "bad": "never said"})
	console := "[    1.0] booting\r\n" +
		guest.Prefix + `{"ev":"start","kernel":"6.1"}` + "\n" +
		guest.Prefix + `{"ev":"end","step":{"op":"expect","label":"one","ok":true,"out":"hello\n"}}` + "\n" +
		guest.Prefix + `{"ev":"end","step":{"label":"one","ok":true}}` + "\n" +
		guest.Prefix + `{"ev":"end","step":{"label":"timed","ok":true,"ms":7}}` + "\n" +
		guest.Prefix + `{"ev":"end","step":{"label":"bad","ok":false}}` + "\n" +
		guest.Prefix + `{"ev":"end","step":{"ok":true}}` + "\n" +
		guest.Prefix + `broken` + "\n"
	// In pieces, as a serial port delivers it.
	for len(console) > 0 {
		n := min(5, len(console))
		if _, err := io.WriteString(w, console[:n]); err != nil {
			t.Fatal(err)
		}
		console = console[n:]
	}
	want := "  vm: 6.1 is up\n  vm: first\n      | hello\n  vm: took 7 ms\n"
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("story (-want +got):\n%s", d)
	}
}
