package report

import (
	"fmt"

	"github.com/klpforge/klpforge/analyze/types"
)

// LayoutRow is one member of a type, before and after.
type LayoutRow struct {
	Kind     RowKind
	Old, New string // as C declares it; empty where the side has none
	OldAt    string // offset and size in bytes
	NewAt    string
}

// LayoutRows puts the members of both layouts side by side. A member that moved or
// changed its type is a changed row.
func LayoutRows(change types.Change) []LayoutRow {
	old, newer := change.Before.Members, change.After.Members
	has := func(list []types.Member, name string) bool {
		for i := range list {
			if list[i].Name == name {
				return true
			}
		}
		return false
	}
	at := func(member *types.Member) string {
		s := fmt.Sprintf("%d", member.Offset)
		if member.Bits > 0 {
			return fmt.Sprintf("%s:%d, %d bits", s, member.Bit, member.Bits)
		}
		return fmt.Sprintf("%s, %d", s, member.Size)
	}
	declare := func(member *types.Member) string { return member.Type + " " + member.Name }

	// Both lists in order, side by side: a member that is not further down on the other side was
	// removed or added there.
	var rows []LayoutRow
	i, j := 0, 0
	for i < len(old) || j < len(newer) {
		switch {
		case i < len(old) && (j == len(newer) || old[i].Name != newer[j].Name && !has(newer[j:], old[i].Name)):
			rows = append(rows, LayoutRow{Kind: Removed, Old: declare(&old[i]), OldAt: at(&old[i])})
			i++
		case j < len(newer) && (i == len(old) || old[i].Name != newer[j].Name):
			rows = append(rows, LayoutRow{Kind: Added, New: declare(&newer[j]), NewAt: at(&newer[j])})
			j++
		default:
			row := LayoutRow{Kind: Same, Old: declare(&old[i]), OldAt: at(&old[i]), New: declare(&newer[j]),
				NewAt: at(&newer[j])}
			if row.Old != row.New || row.OldAt != row.NewAt {
				row.Kind = Changed
			}
			rows = append(rows, row)
			i, j = i+1, j+1
		}
	}
	return rows
}
