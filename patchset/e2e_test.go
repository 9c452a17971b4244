package patchset

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// These tests run on a real kernel source. KLPFORGE_E2E_CACHE names a cache
// directory; any unpacked source in it will do.

// kernelSource finds an unpacked kernel source below the e2e cache.
func kernelSource(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("KLPFORGE_E2E_CACHE")
	if cache == "" {
		t.Skip("KLPFORGE_E2E_CACHE is not set: no kernel source to test on")
	}
	var found []string
	for _, pat := range []string{"linux-*", "trees/*", "trees/*/*", "targets/*/source", "targets/*/source/*"} {
		m, err := filepath.Glob(filepath.Join(cache, pat, "kernel", "livepatch", "core.c"))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, m...)
	}
	if len(found) == 0 {
		t.Fatalf("no unpacked kernel source below %s", cache)
	}
	slices.Sort(found)
	return filepath.Dir(filepath.Dir(filepath.Dir(found[0])))
}

// cFiles picks n C files and headers of a source tree, the same ones each time.
func cFiles(t *testing.T, src string, n int) []string {
	t.Helper()
	var all []string
	for _, dir := range []string{"block", "crypto", "drivers/base", "drivers/block", "drivers/net", "drivers/scsi", "fs", "ipc", "kernel", "lib", "mm", "net", "security", "sound/core", "arch/x86", "include"} {
		err := filepath.WalkDir(filepath.Join(src, dir), func(p string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && (strings.HasSuffix(p, ".c") || strings.HasSuffix(p, ".h")) {
				all = append(all, p)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rnd := rand.New(rand.NewPCG(6, 1))
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

// TestE2EStableKernelFiles inserts lines at random places of kernel files,
// preprocesses before and after with gcc, and compares the numbers that
// __LINE__ gives behind the first closing brace in column 0 below each edit.
func TestE2EStableKernelFiles(t *testing.T) {
	src := kernelSource(t)
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	includeRE := regexp.MustCompile(`^\s*#\s*include`)
	markRE := regexp.MustCompile(`KLP_MARK_(\d+) (\d+)`)
	preprocess := func(text string) map[int]string {
		f := filepath.Join(dir, "f.c")
		if err := os.WriteFile(f, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd := exec.Command(gcc, "-E", "-P", "-w", "-nostdinc", f)
		cmd.Stdout = &out
		_ = cmd.Run() // missing includes make some #if invalid, before and after alike
		m := map[int]string{}
		for _, hit := range markRE.FindAllStringSubmatch(out.String(), -1) {
			n, _ := strconv.Atoi(hit[1])
			m[n] += " " + hit[2]
		}
		return m
	}
	files, marks, moved := 0, 0, 0
	for fi, p := range cFiles(t, src, 400) {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewPCG(uint64(fi), 7))
		list := splitLines(string(data))
		if len(list) < 60 {
			continue
		}
		// Mark lines that end a statement; drop includes.
		for i, l := range list {
			if includeRE.MatchString(l) {
				list[i] = "\n"
				continue
			}
			if strings.HasSuffix(l, ";\n") && !strings.ContainsAny(l, "\"'#") && !strings.Contains(l, "//") && (i == 0 || !strings.HasSuffix(list[i-1], "\\\n")) {
				list[i] = fmt.Sprintf("%s KLP_MARK_%d __LINE__;\n", l[:len(l)-2], i+1)
			}
		}
		old := strings.Join(list, "")
		var newer strings.Builder
		sure := make([]bool, len(list)+1) // lines whose number must hold
		good := true
		for i, l := range list {
			if rnd.IntN(120) == 0 && i > 0 && !strings.HasSuffix(list[i-1], "\\\n") {
				newer.WriteString([]string{"\n", "klp_added\n", "klp {\n}\n", "\n#ifdef KLP_X\n\n#else\n\n#endif\n"}[rnd.IntN(4)])
				good = false
			}
			newer.WriteString(l)
			sure[i+1] = good
			if t := strings.TrimRight(l, "\n"); t == "}" || t == "};" {
				good = true
			}
		}
		if old == newer.String() {
			continue
		}
		f := overlayOf(t, "f.c", old, newer.String())
		before, after, plain := preprocess(old), preprocess(string(f.Stable)), preprocess(string(f.New))
		files++
		for n, want := range before {
			if !sure[n] {
				continue
			}
			marks++
			if got := after[n]; got != want {
				t.Errorf("%s: line %d has number%s before and%s after", strings.TrimPrefix(p, src), n, want, got)
			}
			if plain[n] != want {
				moved++
			}
		}
	}
	t.Logf("%d files, %d numbers compared, %d of them would have moved", files, marks, moved)
	if files < 200 || moved < 1000 {
		t.Errorf("the test saw too little")
	}
}

// TestE2EAgainstPatch applies random edits of kernel files to files that
// moved, and compares with GNU patch without fuzz: where both apply, the
// result must be the same, and what patch refuses must be refused.
func TestE2EAgainstPatch(t *testing.T) {
	src := kernelSource(t)
	bin, err := exec.LookPath("patch")
	if err != nil {
		t.Fatal(err)
	}
	diff, err := exec.LookPath("diff")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	edit := func(rnd *rand.Rand, list []string, n int) string {
		var b strings.Builder
		for _, l := range list {
			switch r := rnd.IntN(n); {
			case r == 0:
				continue
			case r < 3:
				fmt.Fprintf(&b, "\tedit(%d);\n", rnd.IntN(1000))
			}
			b.WriteString(l)
		}
		return b.String()
	}
	both, neither, stricter := 0, 0, 0
	for fi, p := range cFiles(t, src, 300) {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewPCG(uint64(fi), 9))
		list := splitLines(string(data))
		old, newer := string(data), edit(rnd, list, 150)
		target := edit(rnd, list, 400)
		if old == newer {
			continue
		}
		a, b := write("a.c", old), write("b.c", newer)
		args := []string{"-u", "--label", "a/x.c", "--label", "b/x.c", a, b}
		if fi%2 == 0 {
			args = append([]string{"-p"}, args...)
		}
		out, _ := exec.Command(diff, args...).Output() // exits 1 when files differ
		patchFile := write("x.patch", string(out))
		s, err := Read([]string{patchFile}, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		o, mine := s.Apply(fstest.MapFS{"x.c": {Data: []byte(target)}}, ApplyOptions{})
		x := write("x.c", target)
		theirs := exec.Command(bin, "-s", "-f", "-F0", "--no-backup-if-mismatch", "-r", "-", x, patchFile).Run()
		result, err := os.ReadFile(x)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case mine == nil && theirs == nil:
			both++
			if got := string(o.Files["x.c"].New); got != string(result) {
				t.Errorf("%s: result differs from that of patch", strings.TrimPrefix(p, src))
			}
		case mine != nil && theirs != nil:
			neither++
		case mine != nil:
			stricter++
			if !strings.Contains(mine.Error(), "places") {
				t.Errorf("%s: refused what patch applies: %v", strings.TrimPrefix(p, src), mine)
			}
		default:
			t.Errorf("%s: applied what patch refuses: %v", strings.TrimPrefix(p, src), notes(o))
		}
	}
	t.Logf("both applied %d, both refused %d, refused as ambiguous %d", both, neither, stricter)
	if both < 20 || neither < 20 {
		t.Errorf("the test saw too little")
	}
}
