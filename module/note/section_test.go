package note

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
)

// full has a value of each kind that JSON could lose.
func full() *Note {
	return &Note{
		Schema: Schema, Name: "livepatch_fix", Product: "fix", Release: "6.1.0-test", Generation: "5.8", Replace: true,
		Objects: []Object{{Name: "ext4", Callbacks: &Callbacks{PrePatch: "pre", PostUnpatch: "post"}, Funcs: []Func{{
			Name: "f", Sympos: 2, New: "new_f", Unit: "fs/ext4/f.o", Reasons: []string{"size 4 -> 5"},
			Shipped: Shipped{Addr: 0xffffffff81000000, Size: 16, Masks: [][2]uint64{{1, 4}}, SHA256: "aa"},
		}}}},
		States: []State{{ID: 7, Version: 2}}, Shadows: []Shadow{{ID: 1<<64 - 1}}, Patches: []Patch{{Name: "a.patch", Content: "bb"}},
		Allowed: []Allow{{ID: "KLP103", Reason: "set by the callback"}},
	}
}

// TestSection: the section gives back what was put in, in both byte orders, whether
// its content is compressed or not.
func TestSection(t *testing.T) {
	long := full()
	for range 400 {
		long.Patches = append(long.Patches, Patch{Name: "0001-a-patch-with-a-name.patch"})
	}
	for _, want := range []*Note{full(), long} {
		for _, bo := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			data, err := want.EncodeSection(bo)
			if err != nil {
				t.Fatal(err)
			}
			if len(data)%4 != 0 || len(data) > 5<<10 {
				t.Errorf("%d bytes", len(data))
			}
			got, err := ParseSection(data, bo)
			if d := cmp.Diff(want, got); err != nil || d != "" {
				t.Errorf("error %v (-want +got)\n%s", err, d)
			}
			f := &elfobj.File{BigEndian: bo == binary.BigEndian, Sections: []elfobj.Section{{}, {Name: Section, Data: data}}}
			if got, err = Read(f); err != nil || got.Name != want.Name {
				t.Errorf("read from a file: %v, error %v", got, err)
			}
			// A section that is cut short is an error, wherever.
			for n := range min(len(data), 64) {
				if _, err := ParseSection(data[:n], bo); !errors.Is(err, ErrMalformed) {
					t.Errorf("of %d bytes: error %v", n, err)
				}
			}
		}
	}
	if _, err := Read(&elfobj.File{}); !errors.Is(err, ErrNoNote) {
		t.Errorf("no section: error %v", err)
	}
}

func TestJSON(t *testing.T) {
	text, err := full().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"addr": "0xffffffff81000000"`) || !strings.Contains(string(text), "[1, 4]") {
		t.Errorf("numbers are not as people read them:\n%s", text)
	}
	got, err := Parse(text)
	if d := cmp.Diff(full(), got); err != nil || d != "" {
		t.Errorf("error %v (-want +got)\n%s", err, d)
	}
	other := strings.Replace(string(text), Schema, "klpforge.module/v0", 1)
	if _, err := Parse([]byte(other)); !errors.Is(err, ErrMalformed) {
		t.Errorf("another schema: error %v", err)
	}
}

func TestCallbackNames(t *testing.T) {
	c := &Callbacks{PrePatch: "a", PostPatch: "b", PreUnpatch: "c", PostUnpatch: "d"}
	want := [][2]string{{"pre_patch", "a"}, {"post_patch", "b"}, {"pre_unpatch", "c"}, {"post_unpatch", "d"}}
	if d := cmp.Diff(want, c.Names()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	c = &Callbacks{PreUnpatch: "c"}
	if d := cmp.Diff(want[2:3], c.Names()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if got := (*Callbacks)(nil).Names(); got != nil {
		t.Errorf("of none: %v", got)
	}
}

func FuzzParseSection(f *testing.F) {
	head := func(owner, desc string) []byte {
		b := binary.LittleEndian.AppendUint32(nil, uint32(len(owner)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(desc)))
		b = binary.LittleEndian.AppendUint32(b, 1)
		return append(append(b, owner...), desc...)
	}
	f.Add(head("klpforge\x00\x00\x00\x00", `{"schema":"klpforge.module/v1"}`))
	f.Add(head("klpforge\x00\x00\x00\x00", "\x78\x9c\x00"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ParseSection(b, binary.LittleEndian)
		if (n == nil) == (err == nil) {
			t.Errorf("note %v, error %v", n, err)
		}
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("error %v is not ErrMalformed", err)
		}
	})
}
