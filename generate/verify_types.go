package generate

import (
	"fmt"

	"github.com/klpforge/klpforge/finding"
)

// TypesTarget is a VerifyTarget that knows its types. Of another target nothing is said
// about types.
type TypesTarget interface {
	// TypesDigest identifies what the types of an object's code were compared with if
	// the module were built now, as note.Types records it; both are empty when the
	// target has no types.
	TypesDigest(object string) (source, digest string, err error)
}

// types checks that the code was compared with the types of this very kernel.
func (v *verifier) types() error {
	target, ok := v.target.(TypesTarget)
	if !ok {
		return nil
	}
	if len(v.m.Types) == 0 {
		v.add(finding.Finding{ID: finding.IDTypes, Severity: finding.Note,
			Message: "types were not checked: the module does not record a comparison with the kernel's",
			Remedy:  "build it again to have the types that its code uses compared with the kernel's"})
		return nil
	}
	for _, recorded := range v.m.Types {
		if recorded.Source == "" {
			v.add(finding.Finding{ID: finding.IDTypes, Severity: finding.Note, Object: recorded.Object,
				Message: "types were not checked: the kernel that the module was built for tells none"})
			continue
		}
		if !isVmlinux(recorded.Object) && !v.target.HasObject(recorded.Object) {
			continue // reported with the object's functions
		}
		source, digest, err := target.TypesDigest(recorded.Object)
		switch {
		case err != nil:
			return err
		case digest == "":
			v.add(finding.Finding{ID: finding.IDTypes, Severity: finding.Note, Object: recorded.Object,
				Message: fmt.Sprintf("types cannot be checked again: the code was compared with %s, which this "+
					"target lacks", recorded.Source)})
		case source == recorded.Source && digest != recorded.SHA256:
			v.errorf(finding.IDTypes, recorded.Object, "", "build the module for this kernel",
				"%s is not the one that the code's types were compared with: SHA-256 %.12s…, the module records %.12s…",
				source, digest, recorded.SHA256)
		case source != recorded.Source:
			v.add(finding.Finding{ID: finding.IDTypes, Severity: finding.Note, Object: recorded.Object,
				Message: fmt.Sprintf("types cannot be checked again: the code was compared with %s, this target has %s",
					recorded.Source, source)})
		}
	}
	return nil
}
