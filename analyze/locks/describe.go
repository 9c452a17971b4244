package locks

import (
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/analyze/model"
)

// Describe prints an effect over several lines, for people who look into the
// analysis.
func Describe(m *model.Model, e *Effect) string {
	var b strings.Builder
	f := m.Func(e.Func)
	fmt.Fprintf(&b, "%s %#x", f.Name, f.Addr)
	if e.Unknown != 0 {
		fmt.Fprintf(&b, " unknown (%v)", e.Unknown)
	}
	if e.Assumed {
		b.WriteString(" assumed")
	}
	for i := range e.Outcomes {
		o := &e.Outcomes[i]
		b.WriteString("\n    returns")
		n := 0
		for _, x := range []struct {
			size int
			set  Set
		}{{1, o.Ret.B1}, {4, o.Ret.B4}, {8, o.Ret.B8}} {
			if x.set != nil {
				fmt.Fprintf(&b, " %v/%d", x.set, x.size)
				n++
			}
		}
		if n == 0 {
			b.WriteString(" any")
		}
		for _, c := range o.When {
			fmt.Fprintf(&b, ", arg%d/%d %v", c.Arg, c.Size, c.In)
		}
		b.WriteString(":")
		for _, c := range o.Changes {
			fmt.Fprintf(&b, " %+d %s", c.Delta, lockName(m, c.Lock))
			if c.Unsure {
				b.WriteByte('?')
			}
		}
		for _, l := range o.Dropped {
			fmt.Fprintf(&b, " drops %s", lockName(m, l.Lock))
		}
	}
	return b.String()
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
	s, off, ok := m.Prog.SymbolAt(p.Addr)
	if !ok {
		return p.String()
	}
	b := s.Name
	if off != 0 {
		b += fmt.Sprintf("+%#x", off)
	}
	for i, o := range p.Offs {
		if i > 0 {
			b = "*(" + b + ")"
		}
		if o != 0 {
			b += fmt.Sprintf("%+#x", o)
		}
	}
	return b
}
