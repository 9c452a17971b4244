package selection

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/openvex/go-vex/pkg/vex"
)

// VEX is the OpenVEX document of a selection: how the target kernel with the livepatch
// in force stands to each CVE. author is who says so, at a time.
func (r *Result) VEX(author, module string, at time.Time) ([]byte, error) {
	doc := vex.New()
	doc.Author, doc.Timestamp, doc.Version = author, &at, 1
	doc.Tooling = "klpforge"
	product := vex.Product{Component: vex.Component{ID: "pkg:generic/linux@" + r.Release}}
	if module != "" {
		product.Subcomponents = []vex.Subcomponent{{Component: vex.Component{ID: "pkg:generic/" + module}}}
	}
	for _, c := range r.CVEs {
		s := vex.Statement{Vulnerability: vex.Vulnerability{Name: vex.VulnerabilityID(c.ID)},
			Products: []vex.Product{product}}
		switch c.Status {
		case Fixed:
			s.Status = vex.StatusFixed
			s.StatusNotes = "fixed by the livepatch while it is in force: " + strings.Join(c.Slices, ", ")
		case NotAffected:
			s.Status, s.Justification = vex.StatusNotAffected, vex.VulnerableCodeNotPresent
			s.ImpactStatement = "the kernel's configuration compiles nothing of what the fix changes"
		case Open:
			s.Status = vex.StatusUnderInvestigation
			s.StatusNotes = "a part of the fix has run already or has an effect on later work only, or no function is replaced for it: see " +
				strings.Join(c.Slices, ", ")
		case Affected:
			s.Status = vex.StatusAffected
			s.ActionStatement = fmt.Sprintf("update the kernel and reboot: the livepatch lacks %s", strings.Join(c.LeftOut, ", "))
			s.ActionStatementTimestamp = &at
		}
		doc.Statements = append(doc.Statements, s)
	}
	if _, err := doc.GenerateCanonicalID(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := doc.ToJSON(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
