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
	Parts    int // jobs that compile the objects of one target, beside the one that makes its module; 0 is none
}

// Shares numbers the parts, from 1.
func (j Job) Shares() []int {
	var out []int
	for i := range j.Parts {
		out = append(out, i+1)
	}
	return out
}

// PartJobs is how many jobs compile parts, for all targets.
func (j Job) PartJobs() int { return len(j.Manifest.Targets) * j.Parts }

var matrixTemplates = template.Must(template.New("").Delims("[[", "]]").Funcs(template.FuncMap{
	"yaml":  func(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" },
	"sh":    func(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" },
	"dns":   dnsName,
	"jobOf": kubernetesJobOf,
}).ParseFS(matrixFiles, "matrix/*.tmpl"))

// kubernetesJob is one of the Jobs for Kubernetes: that of the parts, or that of
// the modules.
type kubernetesJob struct {
	Job
	Part    bool
	Name    string
	Count   int // of indexes
	Suspend bool
}

func kubernetesJobOf(j Job, part bool) kubernetesJob {
	job := kubernetesJob{Job: j, Part: part, Name: dnsName(j.Manifest.Name + "-" + j.Manifest.Version),
		Count: len(j.Manifest.Targets), Suspend: j.Parts > 0}
	if part {
		job.Name, job.Count, job.Suspend = job.Name+"-parts", j.PartJobs(), false
	}
	return job
}

// Matrix writes the definition of the jobs that build a release: those that compile
// parts of a target, one for each target that makes its module, and the job that
// collects them.
func Matrix(w io.Writer, system string, j Job) error {
	if err := matrixTemplates.ExecuteTemplate(w, system+".tmpl", j); err != nil {
		return fmt.Errorf("write jobs for %s: %w", system, err)
	}
	return nil
}

// dnsName makes a name that Kubernetes takes (RFC 1123 label).
func dnsName(s string) string {
	s = strings.Map(func(char rune) rune {
		if char >= 'a' && char <= 'z' || char >= '0' && char <= '9' {
			return char
		}
		return '-'
	}, strings.ToLower(s))
	if len(s) > 50 {
		s = s[:50]
	}
	return strings.Trim(s, "-")
}
