package main

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
)

// mutant is a fault with its number.
type mutant struct {
	id   int // from 1
	file string
	site
}

// insertion is a text of a mutant that goes in at an offset of the source.
type insertion struct {
	at, other int // other is the other end of its range
	closing   bool
	order     int // of the mutant: those that come later wrap those before
	text      string
	id        int
}

// span tells whose text stands in [start, end) of a rewritten file.
type span struct{ start, end, id int }

// rewrite puts mutants into a source. The spans run from the first byte of a
// mutant's first text to the last of its last.
func rewrite(src []byte, mutants []*mutant) ([]byte, []span) {
	var ins []insertion
	for order, m := range mutants {
		for _, w := range m.wrap {
			before, after := w.before, w.after
			if strings.Contains(before, "%") {
				before = fmt.Sprintf(before, m.id)
			}
			if strings.Contains(after, "%") {
				after = strings.ReplaceAll(after, "%%", "%")
			}
			ins = append(ins, insertion{w.start, w.end, false, order, before, m.id}, insertion{w.end, w.start, true, order, after, m.id})
		}
	}
	slices.SortStableFunc(ins, func(a, b insertion) int {
		if c := cmp.Compare(a.at, b.at); c != 0 {
			return c
		}
		if a.closing != b.closing {
			if a.closing {
				return -1
			}
			return 1
		}
		if c := cmp.Compare(b.other, a.other); c != 0 { // the wider range is outside
			return c
		}
		if a.closing {
			return cmp.Compare(a.order, b.order)
		}
		return cmp.Compare(b.order, a.order)
	})

	var out []byte
	spans := map[int]*span{}
	from := 0
	for _, i := range ins {
		out = append(out, src[from:i.at]...)
		from = i.at
		s := spans[i.id]
		if s == nil {
			s = &span{start: len(out), id: i.id}
			spans[i.id] = s
		}
		out = append(out, i.text...)
		s.end = len(out)
	}
	out = append(out, src[from:]...)
	list := make([]span, 0, len(spans))
	for _, s := range spans {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b span) int { return cmp.Compare(a.end-a.start, b.end-b.start) })
	return out, list
}

// chosen reports whether a fault is in the sample.
func chosen(seed uint64, share float64, pkg, file, key string) bool {
	if share >= 1 {
		return true
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%d\x00%s\x00%s\x00%s", seed, pkg, file, key)
	// The low bits of FNV depend on the last bytes only; mix them.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x) < share*math.MaxUint64
}

// helperTypes declares what helperText defines, without imports.
const helperTypes = `package %s

func zzOn(id int) bool
func zzEither[T any](id int, a, b T) T { return a }
func zzZero[T any]() (v T) { return v }
func zzNext[T ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr](id int, v T) T { return v }
func zzOther[T ~string](id int, v T) T { return v }
`

// helperText is the file that a package with faults gets.
const helperText = `package %s

import (
	"os"
	"strconv"
	"sync"
)

var zzActive, zzRecord = func() (int, *zzRecorder) {
	n, _ := strconv.Atoi(os.Getenv("KLPFORGE_MUTANT"))
	if p := os.Getenv("KLPFORGE_MUTANT_RECORD"); p != "" {
		return 0, &zzRecorder{path: p, seen: map[int]bool{}}
	}
	return n, nil
}()

type zzRecorder struct {
	mu   sync.Mutex
	path string
	seen map[int]bool
}

func (r *zzRecorder) reached(id int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[id] {
		return
	}
	r.seen[id] = true
	f, err := os.OpenFile(r.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err == nil {
		f.WriteString(strconv.Itoa(id) + "\n")
		f.Close()
	}
}

func zzOn(id int) bool {
	if zzRecord != nil {
		zzRecord.reached(id)
	}
	return zzActive == id
}

func zzEither[T any](id int, a, b T) T {
	if zzOn(id) {
		return b
	}
	return a
}

func zzNext[T ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr](id int, v T) T {
	if zzOn(id) {
		v++
	}
	return v
}

func zzZero[T any]() (v T) { return v }

func zzOther[T ~string](id int, v T) T {
	if zzOn(id) {
		return v + "\x00"
	}
	return v
}

var _, _, _, _ = zzEither[int], zzNext[int], zzOther[string], zzZero[int]
`
