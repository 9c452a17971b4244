package kfuncs

import (
	_ "embed"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
)

//go:embed members.txt
var membersText string

// Member is what members.txt says of one member of a structure.
type Member struct {
	Name string // "net_device_ops.ndo_start_xmit"; "virtio_config_ops.find_vqs[3]" for functions in argument 3
	File string // that calls through it, "net/core/dev.c"
	In   Context
	// Since and Until are the first and the last version that has it, "6.1"; "" for
	// all.
	Since, Until string
}

// Members yields the members in the order of the table.
func Members() iter.Seq[Member] { return slices.Values(memberRows) }

// MemberRuns says where a member's functions are called, for one that forbids sleeping
// there. The name is that of the innermost structure that has one, and the member in it.
func MemberRuns(name string) (Member, bool) {
	i, ok := memberIndex[name]
	if !ok {
		return Member{}, false
	}
	return memberRows[i], true
}

var memberRows = func() []Member {
	rows, err := parseMembers(membersText)
	if err != nil {
		panic("kfuncs: members.txt: " + err.Error()) // it is built in
	}
	return rows
}()

var memberIndex = func() map[string]int {
	out := map[string]int{}
	for i := range memberRows {
		out[memberRows[i].Name] = i
	}
	return out
}()

// memberContexts are the words for where members are called.
var memberContexts = []Context{InRCU, InTimer, InHrtimer, InTasklet, InSoftirq, InIRQ, InNMI, InIPI, InBH, InIRQOff,
	InPreemptOff, UnderSpin, InRCURead}

var memberRE = regexp.MustCompile(`^\w+(\[[0-5]\])?$`)

// parseMembers reads the table of members. The error names the line.
func parseMembers(text string) ([]Member, error) {
	var rows []Member
	file := ""
	for i, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if !strings.HasPrefix(line, " ") {
			name, ok := strings.CutSuffix(line, ":")
			if !ok || strings.ContainsAny(name, " \t") {
				return nil, fmt.Errorf("line %d: neither a file nor a row", i+1)
			}
			file = name
			continue
		}
		words := strings.Fields(line)
		structure, member, ok := strings.Cut(words[0], ".")
		if file == "" || len(words) < 2 || !ok || structure == "" || !memberRE.MatchString(member) {
			return nil, fmt.Errorf("line %d: want a file, and STRUCT.MEMBER CONTEXT below it", i+1)
		}
		row := Member{Name: words[0], File: file, In: Context(words[1])}
		if !slices.Contains(memberContexts, row.In) {
			return nil, fmt.Errorf("line %d: %q is no context of a member", i+1, words[1])
		}
		for _, word := range words[2:] {
			switch key, val, _ := strings.Cut(word, "="); key {
			case "since":
				row.Since = val
			case "until":
				row.Until = val
			default:
				return nil, fmt.Errorf("line %d: column %q", i+1, word)
			}
		}
		if slices.ContainsFunc(rows, func(other Member) bool { return other.Name == row.Name }) {
			return nil, fmt.Errorf("line %d: %s has a row already", i+1, row.Name)
		}
		rows = append(rows, row)
	}
	return rows, nil
}
