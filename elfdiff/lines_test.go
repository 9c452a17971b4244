package elfdiff

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

// TestLineArguments reads in the sources of the kernels at hand that the arguments called
// lines are lines.
func TestLineArguments(t *testing.T) {
	cache := os.Getenv("KLPFORGE_E2E_CACHE")
	if cache == "" {
		t.Skip("KLPFORGE_E2E_CACHE is not set: no kernel sources")
	}
	for _, v := range scriptVersions {
		var trees []string
		for _, pattern := range v.trees {
			found, err := filepath.Glob(filepath.Join(cache, pattern))
			if err != nil {
				t.Fatal(err)
			}
			trees = append(trees, found...)
		}
		if len(trees) == 0 && v.version == "5.10" {
			continue
		} else if len(trees) == 0 {
			t.Fatalf("no tree of %s in %s", v.version, cache)
		}
		found := 0
		for _, l := range lineArguments {
			text, err := os.ReadFile(filepath.Join(trees[0], l.file))
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			for _, params := range parameters(string(text), l.function) {
				found++
				if l.arg >= len(params) || !lineRE.MatchString(params[l.arg]) {
					t.Errorf("%s, %s: argument %d of %s is no line: %q", v.version, l.file, l.arg, l.function, params)
				}
			}
		}
		if found < len(lineArguments)*2/3 {
			t.Errorf("%s: %d of %d functions were found", v.version, found, len(lineArguments))
		}
	}
}

// lineRE matches a parameter that is the number of a line, by its name.
var lineRE = regexp.MustCompile(`^(const )?(unsigned int|int|u32) (const )?(line|line_no|linenum|line_number)$`)

var commentsRE = regexp.MustCompile(`(?s)/\*.*?\*/`)

// parameters returns those of each declaration and definition of a function in C text.
func parameters(text, function string) [][]string {
	text = commentsRE.ReplaceAllString(text, "")
	var out [][]string
	re := regexp.MustCompile(`(?m)^[\w\s*()"]*\b` + regexp.QuoteMeta(function) + `\s*\(([^()]*)\)[\w\s(),]*[;{]`)
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		var params []string
		for p := range strings.SplitSeq(m[1], ",") {
			params = append(params, strings.Join(strings.Fields(p), " "))
		}
		if call := slices.ContainsFunc(params, func(p string) bool { return !strings.Contains(p, " ") && p != "..." }); !call {
			out = append(out, params)
		}
	}
	return out
}

// TestLineArgumentsOnce: a function has one line.
func TestLineArgumentsOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range lineArguments {
		if seen[l.function] || l.file == "" || l.arg < 0 || l.arg > 5 {
			t.Errorf("%+v is there twice, without a file, or not in a register", l)
		}
		seen[l.function] = true
	}
}

// TestCountLines: with the option, functions of which only line numbers differ are changed,
// for reasons that name the numbers.
func TestCountLines(t *testing.T) {
	for _, c := range compilers {
		f := fixture{"line-might-sleep", c}
		r, err := DiffWith(f.read(t, "before"), f.read(t, "after"), Options{CountLines: true})
		if err != nil {
			t.Fatal(err)
		}
		wantDescription(t, []string{"changed f", "changed g"}, describe(r))
		for _, ch := range r.Functions {
			want := []string{"only line numbers differ: line 16 -> 22 passed to __might_sleep"}
			if ch.Name == "f" {
				want = []string{"only line numbers differ: line 8 -> 14 passed to __might_sleep; line 10 -> 16 passed to warn_slowpath_fmt"}
			}
			if !slices.Equal(ch.Reasons, want) {
				t.Errorf("%s: %s: %q, want %q", f, ch.Name, ch.Reasons, want)
			}
		}
	}
}

// TestLinesOfTraps: lines in the bug table are noted, and count when asked for.
func TestLinesOfTraps(t *testing.T) {
	f := fixture{"bug-line", compilers[0]}
	r := f.diff(t)
	if len(r.Lines) != 2 || !slices.Equal(r.Lines[0].Reasons, []string{"only line numbers differ: line 6 -> 12 of WARN or BUG"}) {
		t.Errorf("lines %+v", r.Lines)
	}
	counted, err := DiffWith(f.read(t, "before"), f.read(t, "after"), Options{CountLines: true})
	if err != nil {
		t.Fatal(err)
	}
	wantDescription(t, []string{"changed f", "changed g"}, describe(counted))
}

// TestLinesAndParts: a function that gained or lost a part has changed, whatever lines moved.
func TestLinesAndParts(t *testing.T) {
	f := fixture{"line-cold", compilers[0]}
	without := f.read(t, "before")
	for i := range without.Symbols {
		if s := &without.Symbols[i]; s.Name == "f.cold" {
			s.Name, s.Type = "", elf.STT_NOTYPE
		}
	}
	for name, pair := range map[string][2]*elfobj.File{"gained": {without, f.read(t, "after")}, "lost": {f.read(t, "after"), without}} {
		r, err := Diff(pair[0], pair[1])
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(describe(r)); !strings.Contains(got, "changed f") || len(r.Lines) > 0 {
			t.Errorf("%s: %s", name, got)
		}
	}
}
