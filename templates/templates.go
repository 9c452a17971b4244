package templates

import (
	"embed"
	"fmt"
	"io"
	"strings"
	"text/template"

	"github.com/klpforge/klpforge/kernel/klpapi"
)

//go:embed files/*.tmpl
var files embed.FS

// View is everything that the templates show. Its strings are raw; quoting is
// the templates' business. All C identifiers in it must be valid and unique.
type View struct {
	API         klpapi.API
	Name        string
	Description string
	Version     string
	Release     string
	Replace     bool
	Immediate   bool
	Objects     []Object
	States      []State
	Patches     []string
	Info        []Info
	ImportNS    []string
	Self        bool // the objects refer to klpforge_patch
	// RCUCallbacks: the objects give functions to call_rcu, so that the module
	// waits for them before it goes.
	RCUCallbacks bool
	Main         string // C source file without ".c"
	Units        []Unit
}

// Object is one klp_object.
type Object struct {
	Name      string // as the kernel spells it
	Vmlinux   bool
	Ident     string // C identifier of its klp_func table
	Funcs     []Func
	Callbacks []Callback
}

// Func is one klp_func.
type Func struct {
	Name      string // klp_func.old_name
	Sympos    int
	OldAddr   uint64 // klp_func.old_addr, 0 for none
	Immediate bool
	Ident     string // C identifier for the replacement
	Symbol    string // its assembler name
	Unit      string
	Reasons   []string
}

// Callback is one member of klp_callbacks.
type Callback struct {
	Field  string // pre_patch, post_patch, pre_unpatch, post_unpatch
	Type   string // result type in C
	Ident  string
	Symbol string
}

// State is one klp_state.
type State struct {
	ID      uint64
	Version uint32
	Meaning string
}

// Info is one key=value string of modinfo. The key is a C identifier.
type Info struct{ Key, Value string }

// Unit is one prebuilt object of the module.
type Unit struct {
	Name string // source of truth: the unit's path in the kernel tree
	File string // file name of the object in the emitted directory
}

var parsed = template.Must(template.New("").Funcs(template.FuncMap{
	"c":       CString,
	"comment": comment,
	"upper":   strings.ToUpper,
}).ParseFS(files, "files/*.tmpl"))

// Source writes the module's C source for v.API's generation.
func Source(out io.Writer, view View) error {
	name := map[klpapi.Model]string{
		klpapi.ModelDirect:   "direct.c.tmpl",
		klpapi.ModelRegister: "register.c.tmpl",
		klpapi.ModelEnable:   "enable.c.tmpl",
	}[view.API.Model()]
	return execute(out, name, view)
}

// Kbuild writes the file that kbuild reads.
func Kbuild(w io.Writer, v View) error { return execute(w, "Kbuild.tmpl", v) }

// Makefile writes the file that a person's plain make reads.
func Makefile(w io.Writer, v View) error { return execute(w, "Makefile.tmpl", v) }

func execute(w io.Writer, name string, v any) error {
	if err := parsed.ExecuteTemplate(w, name, v); err != nil {
		return fmt.Errorf("render %s: %w", strings.TrimSuffix(name, ".tmpl"), err)
	}
	return nil
}

// CString quotes s as a C string literal. Bytes outside printable ASCII become
// octal escapes of three digits, which no following digit can extend.
func CString(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for i := range len(s) {
		switch char := s[i]; {
		case char == '"' || char == '\\':
			out.WriteByte('\\')
			out.WriteByte(char)
		case char == '?': // no trigraphs
			out.WriteString(`\?`)
		case char < ' ' || char > '~':
			fmt.Fprintf(&out, `\%03o`, char)
		default:
			out.WriteByte(char)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// comment makes s fit for one line inside a C comment or a make comment.
func comment(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	text = strings.ReplaceAll(text, "*/", "* /")
	text = strings.ReplaceAll(text, "/*", "/ *")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\\' {
			return '?'
		}
		return r
	}, text)
}
