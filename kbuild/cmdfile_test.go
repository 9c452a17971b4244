package kbuild

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseCmdFile(t *testing.T) {
	const old = `cmd_fs/x/y.o := gcc -Wp,-MMD,fs/x/.y.o.d -DA='"b $$c $(pound)d"' -c -o fs/x/y.o fs/x/y.c   ; ./tools/objtool/objtool fs/x/y.o

source_fs/x/y.o := fs/x/y.c

deps_fs/x/y.o := \
    $(wildcard include/config/DEMO) \
  include/linux/a.h \
  fs/x/../z.h \

fs/x/y.o: $(deps_fs/x/y.o)

$(deps_fs/x/y.o):

fs/x/y.o: $(wildcard ./tools/objtool/objtool)
#SYMVER foo 0x0000abcd
#SYMVER bar 0xffffffff
`
	got, err := parseCmdFile([]byte(old))
	if err != nil {
		t.Fatal(err)
	}
	want := &savedCommand{
		Object:  "fs/x/y.o",
		Command: `gcc -Wp,-MMD,fs/x/.y.o.d -DA='"b $c #d"' -c -o fs/x/y.o fs/x/y.c   ; ./tools/objtool/objtool fs/x/y.o`,
		Source:  "fs/x/y.c",
		Deps:    []string{"include/linux/a.h", "fs/z.h"},
		Configs: []string{"CONFIG_DEMO"},
		CRCs:    map[string]uint32{"foo": 0xabcd, "bar": 0xffffffff},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The variable's name since v6.4.
	if got, err := parseCmdFile([]byte("savedcmd_a.o := gcc -c a.c\n")); err != nil || got.Object != "a.o" || got.Command != "gcc -c a.c" {
		t.Errorf("savedcmd: %+v, %v", got, err)
	}
	for _, bad := range []string{"", "deps_x := \\\n", "cmd_x := y\n#SYMVER foo\n", "cmd_x := y\n#SYMVER foo 0xnope\n"} {
		if got, err := parseCmdFile([]byte(bad)); err == nil {
			t.Errorf("%q: %+v, want an error", bad, got)
		}
	}
}

func FuzzParseCmdFile(f *testing.F) {
	f.Add([]byte("cmd_x := y\ndeps_x := \\\n a \\\n\n#SYMVER a 0x1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCmdFile(data)
		if (c == nil) == (err == nil) {
			t.Errorf("result %v and error %v", c, err)
		}
	})
}

func TestFixdepCommand(t *testing.T) {
	line := `set -e;  echo '  CC      a/b.o'; gcc -c -o a/b.o a/b.c; scripts/basic/fixdep a/.b.o.d a/b.o 'gcc -DX='\''"y"'\'' -c -o a/b.o a/b.c' > a/.b.o.cmd; rm -f a/.b.o.d` + "\n"
	obj, cmd, ok := fixdepCommand(line)
	if !ok || obj != "a/b.o" || cmd != `gcc -DX='"y"' -c -o a/b.o a/b.c` {
		t.Errorf("%q %q %v", obj, cmd, ok)
	}
	for _, bad := range []string{"", "scripts/basic/fixdep a", "scripts/basic/fixdep a b 'open", "gcc -c x.c"} {
		if _, _, ok := fixdepCommand(bad); ok {
			t.Errorf("%q: found a command", bad)
		}
	}
}

func TestPreprocessCall(t *testing.T) {
	cmd := `ccache gcc-12 -Wp,-MMD,fs/.x.o.d -I./include -DKBUILD_MODFILE='"fs/x"' -DS="a b" -DT=c\ d -c -o fs/x.o fs/x.c   ; ./tools/objtool/objtool --orc fs/x.o`
	got, err := preprocessCall(cmd, "-E", "-P")
	want := []string{"ccache", "gcc-12", "-I./include", `-DKBUILD_MODFILE="fs/x"`, "-DS=a b", "-DT=c d", "-E", "-P", "fs/x.c"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s %v", diff, err)
	}
	for _, bad := range []string{"", "; x", "ld -r -o a b", `gcc -c "x`, "gcc -c 'x"} {
		if got, err := preprocessCall(bad); err == nil {
			t.Errorf("%q: %v, want an error", bad, got)
		}
	}
}
