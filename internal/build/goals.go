package build

import (
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/kbuild"
)

// limit takes out of objects what the goals do not make, and names it.
func (r *run) limit(objects map[string]kbuild.Owner) {
	for _, left := range kbuild.Limit(objects, r.opt.Goals) {
		r.res.Notes = append(r.res.Notes, fmt.Sprintf("%s: left out of %s, which no goal makes", left.Object, strings.Join(left.Owners, ", ")))
	}
}
