package releases

import (
	"embed"
	"fmt"
	"io"
	"strings"
	"text/template"

	"github.com/klpforge/klpforge/release/manifest"
)

//go:embed matrix/*.tmpl
var matrixFiles embed.FS

// Systems are those that Matrix knows, in the order of help texts.
var Systems = []string{"github", "gitlab", "kubernetes"}

// Job says how the jobs of a release run.
type Job struct {
	Manifest *manifest.Manifest
	File     string // path of the manifest in the repository
	Image    string // container image with klpforge and the compilers
	Launcher string
}

var matrixTemplates = template.Must(template.New("").Delims("[[", "]]").Funcs(template.FuncMap{
	"yaml": func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" },
	"sh":   func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" },
	"dns":  dnsName,
}).ParseFS(matrixFiles, "matrix/*.tmpl"))

// Matrix writes the definition of the jobs that build a release, one for each
// target, and of the job that collects them.
func Matrix(w io.Writer, system string, j Job) error {
	if err := matrixTemplates.ExecuteTemplate(w, system+".tmpl", j); err != nil {
		return fmt.Errorf("write jobs for %s: %w", system, err)
	}
	return nil
}

// dnsName makes a name that Kubernetes takes (RFC 1123 label).
func dnsName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	if len(s) > 50 {
		s = s[:50]
	}
	return strings.Trim(s, "-")
}
