package locks

import (
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/analyze/model"
)

// Describe prints an effect over several lines, for people who look into the
// analysis.
func Describe(m *model.Model, e *Effect) string {
	var text strings.Builder
	fn := m.Func(e.Func)
	fmt.Fprintf(&text, "%s %#x", fn.Name, fn.Addr)
	if e.Unknown != 0 {
		fmt.Fprintf(&text, " unknown (%v)", e.Unknown)
	}
	if e.Assumed {
		text.WriteString(" assumed")
	}
	for i := range e.Outcomes {
		outcome := &e.Outcomes[i]
		text.WriteString("\n    returns")
		conditions := 0
		for _, part := range []struct {
			size int
			set  Set
		}{{1, outcome.Ret.B1}, {4, outcome.Ret.B4}, {8, outcome.Ret.B8}} {
			if part.set != nil {
				fmt.Fprintf(&text, " %v/%d", part.set, part.size)
				conditions++
			}
		}
		if conditions == 0 {
			text.WriteString(" any")
		}
		for _, cond := range outcome.When {
			fmt.Fprintf(&text, ", arg%d/%d %v", cond.Arg, cond.Size, cond.In)
		}
		text.WriteString(":")
		for _, change := range outcome.Changes {
			fmt.Fprintf(&text, " %+d %s", change.Delta, lockName(m, change.Lock))
			if change.Unsure {
				text.WriteByte('?')
			}
		}
		for _, drop := range outcome.Dropped {
			fmt.Fprintf(&text, " drops %s", lockName(m, drop.Lock))
		}
	}
	return text.String()
}

// lockName is a lock's kind and path, globals by name.
func lockName(m *model.Model, l Lock) string {
	if l.Path.Root != RootGlobal {
		return l.String()
	}
	return l.Kind.String() + ":" + globalName(m, l.Path)
}

// globalName prints a path that begins at a global by the symbol's name.
func globalName(m *model.Model, p Path) string {
	sym, off, ok := m.Prog.SymbolAt(p.Addr)
	if !ok {
		return p.String()
	}
	text := sym.Name
	if off != 0 {
		text += fmt.Sprintf("+%#x", off)
	}
	for i, off := range p.Offs {
		if i > 0 {
			text = "*(" + text + ")"
		}
		if off != 0 {
			text += fmt.Sprintf("%+#x", off)
		}
	}
	return text
}
