package types

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
)

// The objects are those of the check that compares layouts.
func read(t *testing.T, name string) *Info {
	t.Helper()
	f, err := elfobj.ReadFile("../passes/layout/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestRead(t *testing.T) {
	list, err := read(t, "moved/after.o").Named("session")
	if err != nil {
		t.Fatal(err)
	}
	want := `struct session {  /* 24 bytes */
	int id;                                          /*     0     4 */
	int refs;                                        /*     4     4 */
	long int expires;                                /*     8     8 */
	void * owner;                                    /*    16     8 */
}
`
	if d := cmp.Diff(want, list[0].String()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if _, err := read(t, "moved/after.o").Named("nothing"); !errors.Is(err, ErrNoType) {
		t.Errorf("error %v", err)
	}
	f, err := elfobj.ReadFile("../passes/transition/testdata/thread/after.o")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(f); !errors.Is(err, ErrNoDebug) {
		t.Errorf("an object without debug information: %v", err)
	}
}

func TestSharing(t *testing.T) {
	s := read(t, "moved/before.o").Sharing("struct session")
	if s.Private() || !cmp.Equal(s.Globals, []string{"sessions"}) {
		t.Errorf("a variable leads to it: %+v", s)
	}
	s = read(t, "private/before.o").Sharing("struct walk")
	if !s.Private() || !cmp.Equal(s.Stack, []string{"search"}) || len(s.Functions) == 0 {
		t.Errorf("on the stack only: %+v", s)
	}
}

// TestCompare has what the fixtures of the check lack: bit fields, unions,
// types inside types.
func TestCompare(t *testing.T) {
	m := func(name, typ string, off, size, bits, bit int64, holds string) Member {
		return Member{Name: name, Type: typ, Offset: off, Size: size, Bits: bits, Bit: bit, holds: holds}
	}
	info := func(l ...Layout) *Info {
		i := &Info{Layouts: map[string]Layout{}}
		for _, x := range l {
			i.Layouts[x.Name] = x
		}
		return i
	}
	in1 := Layout{Name: "struct in", Size: 4, Members: []Member{m("a", "int", 0, 4, 0, 0, "")}}
	in2 := Layout{Name: "struct in", Size: 8, Members: []Member{m("a", "int", 0, 4, 0, 0, ""), m("b", "int", 4, 4, 0, 0, "")}}
	out1 := Layout{Name: "struct out", Size: 8, Members: []Member{m("i", "struct in", 0, 4, 0, 0, "struct in"), m("z", "int", 4, 4, 0, 0, "")}}
	out2 := Layout{Name: "struct out", Size: 12, Members: []Member{m("i", "struct in", 0, 8, 0, 0, "struct in"), m("z", "int", 8, 4, 0, 0, "")}}
	bits1 := Layout{Name: "struct bits", Size: 4, Members: []Member{m("x", "unsigned int", 0, 4, 1, 0, "")}}
	bits2 := Layout{Name: "struct bits", Size: 4, Members: []Member{m("x", "unsigned int", 0, 4, 1, 0, ""), m("y", "unsigned int", 0, 4, 1, 1, "")}}
	same := Layout{Name: "struct same", Size: 4, Members: []Member{m("x", "int", 0, 4, 0, 0, "")}}
	renamed := Layout{Name: "struct same", Size: 4, Members: []Member{m("y", "unsigned int", 0, 4, 0, 0, "")}}
	got := Compare(info(in1, out1, bits1, same), info(in2, out2, bits2, renamed))
	var words []string
	for i := range got {
		w := got[i].Before.Name
		if got[i].Filled() {
			w += " filled"
		}
		if got[i].Because != "" {
			w += " because of " + got[i].Because
		}
		words = append(words, w)
	}
	if d := cmp.Diff([]string{"struct bits filled", "struct in", "struct out because of struct in"}, words); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"moved/before.o", "private/after.o"} {
		o, err := elfobj.ReadFile("../passes/layout/testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		for i := range o.Sections {
			if o.Sections[i].Name == ".debug_info" {
				f.Add(o.Sections[i].Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := elfobj.ReadFile("../passes/layout/testdata/moved/before.o")
		if err != nil {
			t.Fatal(err)
		}
		for i := range o.Sections {
			if o.Sections[i].Name == ".debug_info" {
				o.Sections[i].Data, o.Sections[i].Relocs = data, nil
			}
		}
		if info, err := Read(o); (info == nil) == (err == nil) {
			t.Errorf("info %v, error %v", info, err)
		}
	})
}
