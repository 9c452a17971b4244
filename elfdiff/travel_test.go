package elfdiff

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// fate is what becomes of a function by a patch.
type fate int

const (
	stays fate = iota
	changes
	appears
	vanishes
	boots // changed, and used while the kernel boots only
	fates
)

// reading is a random object: functions and other places that read constants.
type reading struct {
	functions []fate
	// calls[when][function][constant]: the function reads the constant, before and after the patch.
	calls [2][][]bool
	// held[when][constant]: a variable or something without a name holds its address.
	held [2][]bool
	// linked are constants that other objects may read.
	linked []bool
}

const (
	readConstants = 5
	travelRounds  = 14
)

func newReading(rng *rand.Rand) *reading {
	object := &reading{functions: make([]fate, 5)}
	for i := range object.functions {
		object.functions[i] = []fate{stays, changes, changes, changes, appears, vanishes, boots}[rng.IntN(7)]
	}
	for range readConstants {
		object.linked = append(object.linked, rng.IntN(6) == 0)
		held := rng.IntN(8)
		object.held[0] = append(object.held[0], held < 2)
		object.held[1] = append(object.held[1], held%2 == 0 && held < 4)
	}
	for when := range object.calls {
		for _, fate := range object.functions {
			reads := make([]bool, readConstants)
			for constant := range reads {
				reads[constant] = rng.IntN(6) == 0
			}
			if when == 1 && fate == stays {
				reads = object.calls[0][len(object.calls[1])]
			}
			object.calls[when] = append(object.calls[when], reads)
		}
	}
	return object
}

// text is the source before the patch, when 0, and after it, when 1: all constants change.
func (object *reading) text(when int) string {
	var text strings.Builder
	for constant := range readConstants {
		linkage := "static __attribute__((used)) "
		if object.linked[constant] {
			linkage = ""
		}
		fmt.Fprintf(&text, "%sconst int constant%d[4] = {1, %d, 3, %d};\n", linkage, constant, constant, 10*(when+1))
		if object.held[when][constant] {
			holder := fmt.Sprintf("const int *holder%d = constant%[1]d;\n", constant)
			if constant%2 == 1 { // without a name
				holder = fmt.Sprintf("asm(\".section mystery,\\\"a\\\"\\n.quad constant%d\\n.previous\");\n", constant)
			}
			text.WriteString(holder)
		}
	}
	for function, fate := range object.functions {
		if !fate.exists(when) {
			continue
		}
		number, section := 7, ""
		if fate != stays {
			number += when
		}
		if fate == boots {
			section = "__attribute__((section(\".init.text\"))) "
		}
		fmt.Fprintf(&text, "%snoinline int f%d(int i) { int sum = %d", section, function, number)
		for constant, reads := range object.calls[when][function] {
			if reads {
				fmt.Fprintf(&text, " + constant%d[i]", constant)
			}
		}
		text.WriteString("; return sum; }\n")
	}
	return text.String()
}

// exists reports whether a function of a fate is there before the patch, when 0, or after it.
func (f fate) exists(when int) bool {
	return !(f == appears && when == 0 || f == vanishes && when == 1)
}

// travels reports whether a constant goes along with the functions that read it: nobody else
// may, before or after the patch.
func (object *reading) travels(constant int) bool {
	if object.linked[constant] || object.held[0][constant] || object.held[1][constant] {
		return false
	}
	for function, fate := range object.functions {
		for when := range 2 {
			if fate.exists(when) && object.calls[when][function][constant] && (fate == stays || fate == boots) {
				return false
			}
		}
	}
	return true
}

// carriedNames are the constants that a result lets travel.
func carriedNames(r *Result) (out []string) {
	for atom, yes := range r.carry {
		if yes {
			out = append(out, r.Patched.Atoms[atom].Name)
		}
	}
	slices.Sort(out)
	return out
}

// TestConstantsTravel: a changed constant travels with its readers when all of them, before
// and after the patch, are replaced, and is refused else; what is cut out reads its own copy
// of just these, and the kernel's of the others.
func TestConstantsTravel(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 1))
	travelling := 0
	for round := range travelRounds {
		object := newReading(rng)
		text := object.text(0) + "\n--- after ---\n" + object.text(1)
		before, after := compiled(t, object.text(0)), compiled(t, object.text(1))
		r, err := Diff(before, after)
		if err != nil {
			t.Fatal(err)
		}
		x, cutErr := extractAll(r)
		for constant := range readConstants {
			name, want := fmt.Sprintf("constant%d", constant), object.travels(constant)
			judged := slices.IndexFunc(r.Problems, func(p finding.Finding) bool { return p.ID == finding.IDChangedData && p.Symbol == name })
			if judged < 0 {
				t.Fatalf("round %d: nothing is said of %s:\n%s", round, name, text)
			}
			if got := r.Problems[judged].Severity == finding.Note; got != want || !got && r.Problems[judged].Severity != finding.Error {
				t.Errorf("round %d: %s: %+v, want it to travel: %v\n%s", round, name, r.Problems[judged], want, text)
			}
			if want {
				travelling++
			}
			if cutErr != nil {
				continue
			}
			read := false
			for function, fate := range object.functions {
				read = read || fate == changes && object.calls[1][function][constant]
			}
			inside := slices.ContainsFunc(x.File.Symbols, func(s elfobj.Symbol) bool { return s.Sec > 0 && s.Name == name })
			outside := slices.ContainsFunc(x.Externals, func(e string) bool { return strings.Contains(e, name) })
			if inside != (read && want) || outside != (read && !want) {
				t.Errorf("round %d: %s is read %v, travels %v, and is cut out %v, referred to %v\n%s", round, name, read, want, inside, outside, text)
			}
		}

		// Another build of the same, in any order, carries the same: also the very first atom.
		for order := range uint64(4) {
			shuffled := copyFile(after)
			shuffleSections(shuffled, rand.New(rand.NewPCG(order, 2)))
			other, err := Diff(before, shuffled)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(carriedNames(r), carriedNames(other)); d != "" {
				t.Errorf("round %d: in another order (-want +got)\n%s", round, d)
			}
			other.CarryLike(r)
			if d := cmp.Diff(carriedNames(r), carriedNames(other)); d != "" {
				t.Errorf("round %d: carried like the first (-want +got)\n%s", round, d)
			}
		}
	}
	t.Logf("%d of %d constants travel", travelling, travelRounds*readConstants)
	if travelling < travelRounds || travelling > 3*travelRounds {
		t.Errorf("%d of %d constants travel", travelling, travelRounds*readConstants)
	}
}

// TestUnknownEntries: an entry of a section that nobody knows may describe the code that it
// points to, so that this code cannot travel; a variable that holds the start of a function
// describes nothing, and so does what points to code that stays.
func TestUnknownEntries(t *testing.T) {
	rng := rand.New(rand.NewPCG(32, 1))
	refused, allowed := 0, 0
	for round := range travelRounds / 2 {
		functions := make([]fate, 5)
		for i := range functions {
			functions[i] = fate(rng.IntN(int(fates)))
		}
		var texts [2]strings.Builder
		for when := range texts {
			texts[when].WriteString("extern void report(int) __attribute__((cold));\n")
		}
		want := map[string]bool{}
		for function, fate := range functions {
			section := ""
			if fate == boots {
				section = "__attribute__((section(\".init.text\"))) "
			}
			for when := range texts {
				if !fate.exists(when) {
					continue
				}
				number := 7
				if fate != stays {
					number += when
				}
				fmt.Fprintf(&texts[when], "%snoinline int f%d(int v) { if (v > 20) { report(v); report(v + 1); } return v + %d; }\n", section, function, number)
			}
			if fate == vanishes {
				continue
			}
			place, named := rng.IntN(3), rng.IntN(2) == 0
			if fate == boots && place == 2 {
				place = 0 // its cold part is in another section
			}
			target := []string{fmt.Sprintf("f%d", function), fmt.Sprintf("f%d+4", function), fmt.Sprintf("f%d.cold", function)}[place]
			entry := ".quad " + target
			if named {
				entry = fmt.Sprintf("entry%d: %s\\n.type entry%[1]d,@object\\n.size entry%[1]d,8", function, entry)
			}
			for when := range texts {
				if fate.exists(when) {
					fmt.Fprintf(&texts[when], "asm(\".section mystery%d,\\\"a\\\"\\n%s\\n%s\\n.previous\");\n", function%2, entry, anotherEntry(named, function, target))
				}
			}
			if (fate == changes || fate == appears) && !(named && place == 0) {
				want[fmt.Sprintf("f%d mystery%d", function, function%2)] = true
			} else {
				allowed++
			}
		}
		r := diffed(t, texts[0].String(), texts[1].String())
		got := map[string]bool{}
		for _, p := range r.Problems {
			if !strings.HasSuffix(p.Message, "has an entry for this function") {
				continue
			}
			key := p.Symbol + " " + p.Section
			if got[key] || p.Severity != finding.Error || p.ID != finding.IDUnknownSection || p.Remedy == "" {
				t.Errorf("round %d: %+v", round, p)
			}
			got[key] = true
		}
		refused += len(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("round %d (-want +got)\n%s\n%s", round, d, texts[1].String())
		}
	}
	if refused < travelRounds/2 || allowed < travelRounds/2 {
		t.Errorf("%d functions were refused, %d not", refused, allowed)
	}
}

// anotherEntry is a second entry of the same kind for a function, of which nothing more is said.
func anotherEntry(named bool, function int, target string) string {
	if !named {
		return ".quad " + target
	}
	return fmt.Sprintf("other%d: .quad %s\\n.type other%[1]d,@object\\n.size other%[1]d,8", function, target)
}
