package selection

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/patchset"
)

func TestStat(t *testing.T) {
	a, b := os.Getenv("A"), os.Getenv("B")
	if a == "" {
		t.Skip()
	}
	changes, bin, err := patchset.CompareDirs(a, b)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(len(changes), bin)
	var keep []patchset.TextChange
	for _, c := range changes {
		if c.New != nil || isC(c.Path) {
			keep = append(keep, c)
		}
	}
	p := fromTrees(keep)
	fmt.Println("slices", len(p.list))
	for _, s := range p.list {
		if len(s.Files) > 2 {
			fmt.Println(len(s.Files), s.Name, strings.Count(s.Title, ","))
		}
	}
}
