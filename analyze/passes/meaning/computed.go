package meaning

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

// A value that leaves a function is understood by others: by code that is not patched,
// and by new code that finds it in objects from before. Each value is followed from
// where it ends, a store, the result or an element of a table, back to what it is
// computed from. When it is computed from the same things by other operations, so that
// bits lie elsewhere, another unit counts or another element is meant, then old and new
// values do not agree.

// ending is a place where values leave a function.
type ending struct {
	what   string // "what it stores in arg0+0x8"
	values map[string]value
}

type value struct {
	*locks.Expr
	at string
}

// computed reports values that leave a changed function computed otherwise.
func computed(pass *analyze.Pass, unit *analyze.Unit, file *analyze.File, before, after *code.Object) {
	if !modifies(file) || unit.TypesDiffer() {
		return // offsets and sizes change, see KLP208
	}
	for _, ch := range unit.Replace {
		oldFn, newFn, err := code.Both(before, after, ch)
		if err != nil || unit.Name(ch.Orig) != unit.Diff.Patched.Atoms[ch.Patched].Name {
			continue
		}
		was, is := endings(before, oldFn), endings(after, newFn)
		out := finding.Finding{ID: finding.IDDataMeaning, Severity: finding.Warning,
			Remedy: "keep the old form while objects from before, or code that is not patched, use it; or convert them in a " +
				"post-patch callback"}
		for _, what := range slices.Sorted(maps.Keys(is)) {
			if line := differs(was[what], is[what]); line != "" {
				out.Evidence = append(out.Evidence, what+": "+line)
			}
		}
		if len(out.Evidence) == 0 {
			continue
		}
		out.Message = "computes a value that others use in another way than old code: objects from before hold, and code " +
			"that is not patched expects, the old form"
		out.Who = append(stayers(unit, before, ch), assigned(unit, file)...)
		pass.ReportChange(unit, ch, out)
	}
}

// endings finds where values leave a function.
func endings(obj *code.Object, id model.FuncID) map[string]*ending {
	events := obj.Events(id)
	if events == nil {
		return nil
	}
	out := map[string]*ending{}
	add := func(what string, v *locks.Expr, site uint64) {
		if out[what] == nil {
			out[what] = &ending{what, map[string]value{}}
		}
		out[what].values[v.String()] = value{v, obj.Place(site)}
	}
	for i := range events.List {
		ev := &events.List[i]
		if ev.Kind == locks.EventWrite && ev.Place.Known() && ev.Value.Known() {
			add("what it stores at "+ev.Place.String(), ev.Value, ev.Site)
		}
		if ev.Kind == locks.EventReturn && ev.Value.Known() {
			add("what it returns", ev.Value, ev.Site)
		}
		for _, address := range append([]*locks.Expr{ev.Place, ev.Value}, ev.Args...) {
			if table, index := element(address); table != nil {
				add("which element of "+table.String()+" is meant", index, ev.Site)
			}
		}
	}
	return out
}

// element takes the address of an element of a table apart.
func element(address *locks.Expr) (table, index *locks.Expr) {
	if address == nil || !address.Known() {
		return nil, nil
	}
	for part := range address.Parts {
		if part.Op != locks.ExprCompute || part.Text != "add" || len(part.Args) != 2 {
			continue
		}
		for i, scaled := range part.Args {
			base := part.Args[1-i]
			if scaled.Op == locks.ExprCompute && (scaled.Text == "shl" || scaled.Text == "mul") &&
				(base.Op == locks.ExprSymbol || base.Op == locks.ExprLoad && base.Size == 8) {
				return base, scaled.Args[0]
			}
		}
	}
	return nil, nil
}

// differs says how values at one ending are computed otherwise; "" when they are not, or
// when that is not certain.
func differs(was, is *ending) string {
	if was == nil || is == nil {
		return ""
	}
	for _, text := range slices.Sorted(maps.Keys(is.values)) {
		if _, had := was.values[text]; had || was.has(is.values[text], was.what == "what it returns") {
			continue
		}
		for _, old := range slices.Sorted(maps.Keys(was.values)) {
			if _, still := is.values[old]; still {
				continue
			}
			had, has := was.values[old], is.values[text]
			if how := otherForm(had.Expr, has.Expr, was.what == "what it returns"); how != "" {
				if len(had.String())+len(has.String()) > maxShown {
					return fmt.Sprintf("%s; before: %s, after: %s", how, had.at, has.at)
				}
				return fmt.Sprintf("%s; %s before (%s), %s after (%s)", how, had, had.at, has, has.at)
			}
		}
	}
	return ""
}

// has reports whether a value of the same form is among those of an ending, on whatever path.
func (e *ending) has(v value, result bool) bool {
	for _, one := range e.values {
		from, now := leaves(one.Expr), leaves(v.Expr)
		if len(from) > 0 && len(now) > 0 && (within(from, now) || within(now, from)) &&
			otherForm(one.Expr, v.Expr, result) == "" {
			return true
		}
	}
	return false
}

// maxShown bounds the expressions that are worth reading, in bytes.
const maxShown = 160

// encodings are the operations that give the same things another form.
var encodings = []string{"xor", "rol", "ror", "bswap", "mul", "div", "idiv", "imul", "shl", "shr", "sar"}

// otherForm says by what a value that is computed from the same things has another form.
func otherForm(old, newer *locks.Expr, result bool) string {
	if swapped(old, newer) && result {
		return "the order of what is compared is turned round"
	}
	from, now := leaves(old), leaves(newer)
	if !within(from, now) && !within(now, from) || len(from) == 0 || len(now) == 0 {
		return ""
	}
	had, has := operations(old), operations(newer)
	for _, op := range encodings {
		if !maps.Equal(had[op], has[op]) {
			return "by other operations (" + op + ")"
		}
	}
	if len(had["and"]) > 0 && len(has["and"]) > 0 {
		old, newer := masks(had["and"]), masks(has["and"])
		computed := (len(old) == 0 || len(newer) == 0) && had["and"][""] != has["and"][""]
		if !slices.Equal(old, newer) && !computed {
			return "by another mask"
		}
	}
	if len(now) > len(from) && len(had["xor"])+len(had["rol"])+len(had["mul"]) > 0 {
		return "by more than before" // a hash, which takes in one thing more
	}
	return ""
}

// masks are the constants among them, sorted. One that is computed in place of a constant may
// have its value on the paths to it; and how often a value is masked alike says nothing.
func masks(ands map[string]int) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(ands)), func(with string) bool { return with == "" })
}

// swapped reports whether a difference is taken the other way round.
func swapped(old, newer *locks.Expr) bool {
	for old.Op == locks.ExprLow {
		old = old.Args[0]
	}
	for newer.Op == locks.ExprLow {
		newer = newer.Args[0]
	}
	return old.Op == locks.ExprCompute && newer.Op == locks.ExprCompute && old.Text == "sub" && newer.Text == "sub" &&
		old.Args[0].String() == newer.Args[1].String() && old.Args[1].String() == newer.Args[0].String() &&
		old.Args[0].String() != old.Args[1].String()
}

// leaves are what a value is computed from.
func leaves(e *locks.Expr) map[string]bool {
	out := map[string]bool{}
	var walk func(e *locks.Expr)
	seen := map[*locks.Expr]bool{}
	walk = func(e *locks.Expr) {
		if seen[e] {
			return
		}
		seen[e] = true
		switch e.Op {
		case locks.ExprLoad, locks.ExprArg, locks.ExprResult, locks.ExprPercpu, locks.ExprEach:
			out[e.String()] = true
			return
		case locks.ExprSymbol:
			return
		}
		for _, arg := range e.Args {
			walk(arg)
		}
	}
	walk(e)
	return out
}

func within(part, whole map[string]bool) bool {
	for leaf := range part {
		if !whole[leaf] {
			return false
		}
	}
	return true
}

// operations counts what a value is computed by, with constants, outside of the addresses
// of what is loaded.
func operations(e *locks.Expr) map[string]map[string]int {
	out := map[string]map[string]int{}
	seen := map[*locks.Expr]bool{}
	var walk func(e *locks.Expr)
	walk = func(e *locks.Expr) {
		if seen[e] || e.Op == locks.ExprLoad || e.Op == locks.ExprEach || e.Op == locks.ExprPercpu {
			return
		}
		seen[e] = true
		if e.Op == locks.ExprCompute {
			with := ""
			for _, arg := range e.Args {
				if arg.Op == locks.ExprConst {
					with = arg.String()
				}
			}
			if out[e.Text] == nil {
				out[e.Text] = map[string]int{}
			}
			out[e.Text][with]++
		}
		for _, arg := range e.Args {
			walk(arg)
		}
	}
	walk(e)
	return out
}

// modifies reports whether a file's differences change lines, and not only add or drop
// some: what is computed otherwise where they do not is the compiler's doing.
func modifies(file *analyze.File) bool {
	return slices.ContainsFunc(file.Hunks, func(h analyze.Hunk) bool { return h.OldLines > 0 && h.NewLines > 0 })
}

// stayers are the callers in the object file that are not patched.
func stayers(unit *analyze.Unit, obj *code.Object, ch elfdiff.Change) (out []string) {
	callers, _ := obj.Callers(ch.Orig)
	for _, a := range callers {
		if !unit.Replaced(a) {
			out = append(out, unit.Name(a))
		}
	}
	return out
}

// assigned are the functions that are not patched and use a member that changed lines
// assign.
func assigned(unit *analyze.Unit, file *analyze.File) (out []string) {
	for _, member := range members(file) {
		for _, fn := range users(unit, file, member) {
			if !slices.Contains(out, fn) {
				out = append(out, fn)
			}
		}
	}
	return out
}

// members are those that changed lines of the new text assign.
func members(file *analyze.File) (out []string) {
	last := [3]string{}
	for tok, line := range analyze.Tokens(file.New) {
		isMember := last[1] == "." || last[0] == "-" && last[1] == ">"
		if tok == "=" && isMember && changedLine(file, line) && !slices.Contains(out, last[2]) &&
			!strings.ContainsAny(last[2], "=!<>&|") {
			out = append(out, last[2])
		}
		last = [3]string{last[1], last[2], tok}
	}
	return out
}

func changedLine(file *analyze.File, line int) bool {
	return slices.ContainsFunc(file.Hunks, func(h analyze.Hunk) bool {
		return line >= h.NewStart && line < h.NewStart+h.NewLines
	})
}
