package selection

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/patchset"
)

// Slice is the smallest part of an update that is live or not as a whole.
type Slice struct {
	// Name is the commit, or the file and the first thing in it that changes.
	Name  string
	Title string   // the commit's subject, or all that changes; may be empty
	IDs   []string // CVE numbers and commits that it is known by
	Files []string // that it changes, sorted
	// corrects are earlier slices that it corrects, as its Fixes: lines say: they are not
	// live without it.
	corrects []int
}

// source is an update, cut into slices.
type source interface {
	slices() []*Slice
	// texts are the changed files with the kept slices in them. What cannot be there
	// without others is told, by slice, and is not in the texts.
	texts(keep []bool) (map[string]*text, map[int]lost, error)
	// patch is one slice as a patch file, on top of the slices below.
	patch(slice int, below []bool) (string, error)
}

// lost is why a kept slice could not be put into the texts.
type lost struct {
	needs []int // slices that are left out; empty where it does not fit the target at all
	why   string
}

// pairs is an update of which the trees before and after are known.
type pairs struct {
	list  []*Slice
	files []pairFile
}

type pairFile struct {
	patchset.TextChange
	edits []edit
}

// edit is one changed range: old lines from oldStart, and the new ones in their place.
type edit struct {
	oldStart, oldLines int // 0-based
	newStart, newLines int
	slice              int
}

func (p *pairs) slices() []*Slice { return p.list }

func (p *pairs) texts(keep []bool) (map[string]*text, map[int]lost, error) {
	out := map[string]*text{}
	for i := range p.files {
		if file := p.files[i].with(keep); file != nil {
			out[file.path] = file
		}
	}
	return out, nil, nil
}

func (p *pairs) patch(slice int, below []bool) (string, error) {
	with := slices.Clone(below)
	with[slice] = true
	var list []patchset.TextChange
	for i := range p.files {
		file := &p.files[i]
		if !slices.ContainsFunc(file.edits, func(cut edit) bool { return cut.slice == slice }) {
			continue
		}
		change := patchset.TextChange{Path: file.Path, Old: file.Old, New: file.with(with).bytes()}
		if before := file.with(below); before != nil {
			change.Old = before.bytes()
		}
		list = append(list, change)
	}
	made, err := patchset.FromTexts(p.list[slice].Name, "", list)
	if err != nil {
		return "", err
	}
	return p.list[slice].Name + "\n\n" + made.Diff(), nil
}

// with is the file with the kept slices; nil when none of them changes it.
func (f *pairFile) with(keep []bool) *text {
	if !slices.ContainsFunc(f.edits, func(change edit) bool { return keep[change.slice] }) {
		return nil
	}

	// A file that comes or goes does so as a whole.
	before := newText(f.Path, f.Old)
	if f.Old == nil || f.New == nil {
		before.become(f.New, f.edits[0].slice)
		return before
	}
	now := &text{path: f.Path, old: f.Old, exists: true, cuts: map[int][]int{}, removed: map[int]int{},
		touched: map[int]bool{}}
	newer := splitLines(f.New)

	// Between the kept changes the old lines stand.
	at := 0
	for _, change := range f.edits {
		if !keep[change.slice] {
			continue
		}
		now.lines = append(now.lines, before.lines[at:change.oldStart]...)
		at = change.oldStart + change.oldLines
		for i := change.oldStart; i < at; i++ {
			now.removed[i+1] = change.slice
		}
		if change.oldLines > 0 {
			now.cuts[len(now.lines)] = append(now.cuts[len(now.lines)], change.slice)
		}
		for _, content := range newer[change.newStart : change.newStart+change.newLines] {
			now.lines = append(now.lines, line{text: content, by: change.slice})
		}
		now.touched[change.slice] = true
	}
	now.lines = append(now.lines, before.lines[at:]...)
	return now
}

// piece is the changes of one item of a file, or of several that one change spans.
type piece struct {
	file         int
	edits        []int // of the file
	names        map[string]bool
	fresh        map[string]bool // names that the change brings or takes away for every file
	local        map[string]bool // the same, of static names: for this file
	changed      map[string]bool // functions that it changes, for every file
	changedLocal map[string]bool
	calls        map[string]bool // words of the functions that it changes, before and after
	added, taken map[string]int  // words on added and removed lines, with their number
	include      string
	first        string // what it is called by
}

// fromTrees cuts what differs between two trees into slices: the changes of one function
// or declaration are one piece, and pieces that a name ties together are one slice.
func fromTrees(changes []patchset.TextChange) *pairs {
	out := &pairs{}
	var pieces []*piece
	known := [2]map[string]bool{{}, {}}
	for i := range changes {
		addWords(known[0], changes[i].Old)
		addWords(known[1], changes[i].New)
	}
	for i := range changes {
		file := pairFile{TextChange: changes[i]}
		found := cutFile(&file, i, known)
		pieces = append(pieces, found...)
		out.files = append(out.files, file)
	}
	groups := tie(out.files, pieces)

	// Slices are numbered by their first file and line.
	for _, group := range groups {
		slice := &Slice{}
		files := map[string]bool{}
		var titles []string
		for _, number := range group {
			file := &out.files[pieces[number].file]
			files[file.Path] = true
			for _, change := range pieces[number].edits {
				file.edits[change].slice = len(out.list)
			}
			titles = append(titles, pieces[number].title(file))
		}
		for name := range files {
			slice.Files = append(slice.Files, name)
		}
		slices.Sort(slice.Files)
		slice.Name = titles[0]
		if len(titles) > 1 {
			slice.Title = strings.Join(titles[1:], ", ")
		}
		out.list = append(out.list, slice)
	}
	return out
}

func (p *piece) title(f *pairFile) string {
	if p.first == "" {
		return fmt.Sprintf("%s:%d", f.Path, f.edits[p.edits[0]].oldStart+1)
	}
	return f.Path + ":" + p.first
}

// cutFile finds the changed ranges of a file and joins those that change one item. known
// are the words of all files before and after.
func cutFile(f *pairFile, index int, known [2]map[string]bool) []*piece {
	if f.Old == nil || f.New == nil {
		whole := edit{oldLines: len(splitLines(f.Old)), newLines: len(splitLines(f.New))}
		f.edits = []edit{whole}
	} else {
		for _, span := range patchset.Edits(f.Old, f.New) {
			change := edit{oldLines: span.OldLines, newLines: span.NewLines}
			change.oldStart, _ = span.Old()
			change.newStart, _ = span.New()
			f.edits = append(f.edits, change)
		}
	}

	var before, after []patchset.Item
	if isC(f.Path) {
		before, after = patchset.Items(f.Old), patchset.Items(f.New)
	}

	// An edit is with every other that changes an item of the same name.
	sets := newSets(len(f.edits))
	byItem := map[string]int{}
	touch := make([][]touched, len(f.edits))
	for i, change := range f.edits {
		touch[i] = append(within(before, change.oldStart, change.oldLines, false),
			within(after, change.newStart, change.newLines, true)...)
		for _, item := range touch[i] {
			if item.Name == "" || item.Kind == patchset.ItemInclude {
				continue
			}
			if first, ok := byItem[item.Name]; ok {
				sets.union(i, first)
			} else {
				byItem[item.Name] = i
			}
		}
	}

	// What each piece says: the names that it brings, and the words on its lines.
	oldNames, newNames := itemNames(before), itemNames(after)
	oldLines, newLines := splitLines(f.Old), splitLines(f.New)
	var out []*piece
	for _, group := range sets.groups() {
		part := &piece{file: index, edits: group, names: map[string]bool{}, fresh: map[string]bool{},
			local:   map[string]bool{},
			changed: map[string]bool{}, changedLocal: map[string]bool{}, calls: map[string]bool{},
			added: map[string]int{}, taken: map[string]int{}}
		for _, i := range group {
			change := f.edits[i]
			count(part.taken, oldLines[change.oldStart:change.oldStart+change.oldLines])
			count(part.added, newLines[change.newStart:change.newStart+change.newLines])
			for _, item := range touch[i] {
				if lines := map[bool][]string{false: oldLines,
					true: newLines}[item.newer]; item.Kind == patchset.ItemFunction {
					for word := range names(strings.Join(lines[item.Start-1:item.End], "")) {
						part.calls[word] = part.calls[word] || word != item.Name
					}
				}
				part.note(item, oldNames, newNames, known)
			}
		}
		part.members(f, touch, group, known)
		out = append(out, part)
	}
	return out
}

func isC(path string) bool { return strings.HasSuffix(path, ".c") || strings.HasSuffix(path, ".h") }

// count counts the words of lines that are no comment, as far as a line shows that.
func count(into map[string]int, lines []string) {
	for _, content := range lines {
		plain := strings.TrimSpace(content)
		if strings.HasPrefix(plain, "/*") || strings.HasPrefix(plain, "//") || strings.HasPrefix(plain, "* ") ||
			plain == "*" || strings.HasPrefix(plain, "*/") {
			continue
		}
		for word := range names(content) {
			into[word]++
		}
	}
}

// touched is an item that an edit changes.
type touched struct {
	patchset.Item
	newer bool // of the new text
}

// within lists the items that have a line of a range. A range without lines stands
// between two lines: it is within an item that has both.
func within(items []patchset.Item, start, lines int, newer bool) []touched {
	var out []touched
	for _, item := range items {
		first, last := item.Start-1, item.End-1
		if lines > 0 && first < start+lines && last >= start || lines == 0 && first < start && last >= start {
			out = append(out, touched{item, newer})
		}
	}
	return out
}

// itemNames maps names to the head of what they stand for.
func itemNames(items []patchset.Item) map[string]string {
	out := map[string]string{}
	for _, i := range items {
		if i.Name != "" && (out[i.Name] == "" || i.Kind == patchset.ItemFunction || i.Kind == patchset.ItemType) {
			out[i.Name] = fmt.Sprint(i.Kind, " ", i.Head)
		}
	}
	return out
}

// note takes up an item that a piece changes.
func (p *piece) note(item touched, before, after map[string]string, known [2]map[string]bool) {
	switch {
	case item.Kind == patchset.ItemInclude:
		p.include = strings.Trim(item.Name, `"<>`)
		p.first = cmp.Or(p.first, "#include "+item.Name)
		return
	case item.Name == "":
		return
	}
	if p.first == "" || item.Kind == patchset.ItemFunction && !p.names[item.Name] {
		p.first = item.Name
	}
	p.names[item.Name] = true
	fresh, changed := p.fresh, p.changed
	if item.Static {
		fresh, changed = p.local, p.changedLocal
	}
	old, hadOld := before[item.Name]
	newer, hasNew := after[item.Name]
	switch {
	case !hadOld && known[0][item.Name] && !item.Static, !hasNew && known[1][item.Name] && !item.Static:
		// A word that means something else elsewhere.
	case !hadOld || !hasNew || old != newer:
		fresh[item.Name] = true // new, gone, or declared otherwise
	}
	if item.Kind == patchset.ItemFunction || item.Kind == patchset.ItemMacro {
		changed[item.Name] = true
	}
}

// members notes the members, enumerators and options that a piece adds to a type or takes
// away from it, where the name has no other meaning in any changed file: of a member that
// is called "lock", the compiler will tell who uses it.
func (p *piece) members(f *pairFile, touch [][]touched, group []int, known [2]map[string]bool) {
	typed := false
	for _, i := range group {
		typed = typed || slices.ContainsFunc(touch[i],
			func(item touched) bool { return item.Kind == patchset.ItemType })
	}
	switch {
	case strings.HasPrefix(lastName(f.Path), "Kconfig"):
		for word := range p.added {
			p.fresh["CONFIG_"+word] = true
		}
		return
	case !typed:
		return
	}
	for word := range p.added {
		if !known[0][word] {
			p.fresh[word] = true
		}
	}
	for word := range p.taken {
		if !known[1][word] {
			p.fresh[word] = true
		}
	}
}

func dirOf(path string) string { return strings.TrimSuffix(path, lastName(path)) }

func lastName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func addWords(into map[string]bool, text []byte) {
	for word := range names(string(text)) {
		into[word] = true
	}
}

// tie joins pieces that belong together, and lists them in the order of their first
// change.
//
//   - Who brings a name, takes it away or declares it otherwise belongs with who begins or
//     ceases to use it: declaration and use, header and users, option and code.
//   - A changed function belongs with a changed caller that begins or ceases to call it,
//     and with every changed caller in its directory: what one does no longer, the other may
//     do now, with no new name in it.
//   - A new file belongs with the makefile that lists it and with who includes it.
func tie(files []pairFile, pieces []*piece) [][]int {
	// Who has a name for every file, and who for its own.
	sets := newSets(len(pieces))
	global, local := map[string][]int{}, map[[2]string][]int{}
	for i, part := range pieces {
		path := files[part.file].Path
		for name := range part.fresh {
			global[name] = append(global[name], i)
		}
		for name := range part.changed {
			global[name] = append(global[name], i)
		}
		for _, set := range []map[string]bool{part.local, part.changedLocal} {
			for name := range set {
				local[[2]string{path, name}] = append(local[[2]string{path, name}], i)
			}
		}
	}

	// A word that is added and removed as often is not begun to be used.
	for i, part := range pieces {
		path := files[part.file].Path
		use := func(word string) {
			for _, other := range local[[2]string{path, word}] {
				sets.union(i, other)
			}
			if len(local[[2]string{path, word}]) > 0 {
				return // a static name hides another file's
			}
			for _, other := range global[word] {
				sets.union(i, other)
			}
		}
		for word, total := range part.added {
			if total != part.taken[word] {
				use(word)
			}
		}
		for word, total := range part.taken {
			if total != part.added[word] {
				use(word)
			}
		}
		for name := range part.fresh {
			use(name) // a prototype, and what it is of
		}
		for name, calls := range part.calls {
			if !calls {
				continue
			}
			for _, other := range local[[2]string{path, name}] {
				sets.union(i, other)
			}
			for _, other := range global[name] {
				caller := pieces[other]
				if caller.changed[name] && dirOf(files[caller.file].Path) == dirOf(path) {
					sets.union(i, other)
				}
			}
		}
	}
	tieFiles(files, pieces, sets)
	return sets.groups()
}

// tieFiles joins new and deleted files with what names them.
func tieFiles(files []pairFile, pieces []*piece, sets *sets) {
	for i, part := range pieces {
		file := &files[part.file]
		if file.Old != nil && file.New != nil {
			continue
		}
		base := lastName(file.Path)
		dir := strings.TrimSuffix(file.Path, base)
		object := strings.TrimSuffix(strings.TrimSuffix(base, ".c"), ".S")
		for j, user := range pieces {
			other := files[user.file].Path
			makefile := strings.HasPrefix(lastName(other), "Makefile") || lastName(other) == "Kbuild"
			listed := makefile && strings.HasPrefix(dir, strings.TrimSuffix(other, lastName(other))) &&
				(user.added[object] > 0 || user.taken[object] > 0)
			included := user.include != "" && (strings.HasSuffix(file.Path, "/"+user.include) ||
				lastName(user.include) == base)
			if listed || included {
				sets.union(i, j)
			}
		}
	}
}

// sets are disjoint sets of numbers.
type sets struct{ parent []int }

func newSets(n int) *sets {
	made := &sets{parent: make([]int, n)}
	for i := range made.parent {
		made.parent[i] = i
	}
	return made
}

func (s *sets) find(i int) int {
	for s.parent[i] != i {
		s.parent[i] = s.parent[s.parent[i]]
		i = s.parent[i]
	}
	return i
}

// union joins the sets of two numbers; the least number stands for a set.
func (s *sets) union(a, b int) {
	a, b = s.find(a), s.find(b)
	s.parent[max(a, b)] = min(a, b)
}

// groups lists the sets by their least member, each in order.
func (s *sets) groups() [][]int {
	index := map[int]int{}
	var out [][]int
	for i := range s.parent {
		root := s.find(i)
		at, ok := index[root]
		if !ok {
			at = len(out)
			index[root] = at
			out = append(out, nil)
		}
		out[at] = append(out[at], i)
	}
	return out
}
