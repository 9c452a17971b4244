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
	for _, cve := range r.CVEs {
		statement := vex.Statement{Vulnerability: vex.Vulnerability{Name: vex.VulnerabilityID(cve.ID)},
			Products: []vex.Product{product}}

		// VEX asks for a reason beside not affected, and for a remedy beside affected.
		switch cve.Status {
		case Fixed:
			statement.Status = vex.StatusFixed
			statement.StatusNotes = "fixed by the livepatch while it is in force: " + strings.Join(cve.Slices, ", ")
		case NotAffected:
			statement.Status, statement.Justification = vex.StatusNotAffected, vex.VulnerableCodeNotPresent
			statement.ImpactStatement = "the kernel's configuration compiles nothing of what the fix changes"
		case Open:
			statement.Status = vex.StatusUnderInvestigation
			statement.StatusNotes = "a part of the fix has run already or has an effect on later work only, or no " +
				"function is replaced for it: see " +
				strings.Join(cve.Slices, ", ")
		case Affected:
			statement.Status = vex.StatusAffected
			statement.ActionStatement = fmt.Sprintf("update the kernel and reboot: the livepatch lacks %s",
				strings.Join(cve.LeftOut, ", "))
			statement.ActionStatementTimestamp = &at
		}
		doc.Statements = append(doc.Statements, statement)
	}

	// The id follows from the contents, so that the same result gives the same document.
	if _, err := doc.GenerateCanonicalID(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := doc.ToJSON(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
