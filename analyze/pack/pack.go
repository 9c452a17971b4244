// Package pack writes facts as compact bytes and reads them back, for files in
// the cache. Numbers are variable-length; a Reader bounds-checks, keeps the
// first error and gives zeros after it, so that decoders check once at the end.
package pack

import (
	"encoding/binary"
	"errors"
)

// ErrCorrupt means that bytes are not what a Writer made.
var ErrCorrupt = errors.New("corrupt facts")

// Writer collects bytes. The zero value is ready.
type Writer struct {
	B     []byte
	texts map[string]uint64 // by number, in the order of their first Text
}

// Uint writes an unsigned number, short when it is small.
func (w *Writer) Uint(v uint64) { w.B = binary.AppendUvarint(w.B, v) }

// Int writes a signed number, short when it is near zero.
func (w *Writer) Int(v int64) { w.B = binary.AppendVarint(w.B, v) }

// Bool writes a truth value.
func (w *Writer) Bool(v bool) {
	if v {
		w.B = append(w.B, 1)
	} else {
		w.B = append(w.B, 0)
	}
}

// String writes a string with its length.
func (w *Writer) String(s string) {
	w.Uint(uint64(len(s)))
	w.B = append(w.B, s...)
}

// Text writes a string that may occur again, whole the first time and as a
// number after that.
func (w *Writer) Text(s string) {
	n, ok := w.texts[s]
	if !ok {
		if w.texts == nil {
			w.texts = map[string]uint64{}
		}
		n = uint64(len(w.texts))
		w.texts[s] = n
	}
	w.Uint(n)
	if !ok {
		w.String(s)
	}
}

// Reader takes bytes apart in the order in which they were written.
type Reader struct {
	b     []byte
	err   error
	texts []string
}

// NewReader reads b, which must not change meanwhile.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err is the first error; it is ErrCorrupt or nil.
func (r *Reader) Err() error { return r.err }

// Rest returns what was not read.
func (r *Reader) Rest() []byte { return r.b }

// Fail notes that what was read makes no sense.
func (r *Reader) Fail() { r.b, r.err = nil, ErrCorrupt }

// Uint reads what Writer.Uint wrote.
func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Int reads what Writer.Int wrote.
func (r *Reader) Int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Bool reads what Writer.Bool wrote.
func (r *Reader) Bool() bool {
	if len(r.b) == 0 || r.b[0] > 1 {
		r.Fail()
		return false
	}
	v := r.b[0] == 1
	r.b = r.b[1:]
	return v
}

// Len reads a number of elements, each of which takes at least one byte.
func (r *Reader) Len() int {
	n := r.Uint()
	if n > uint64(len(r.b)) {
		r.Fail()
		return 0
	}
	return int(n)
}

// String reads what Writer.String wrote.
func (r *Reader) String() string {
	n := r.Len()
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// Text reads what Writer.Text wrote. Equal strings share their memory.
func (r *Reader) Text() string {
	n := r.Uint()
	if r.err == nil && n == uint64(len(r.texts)) {
		r.texts = append(r.texts, r.String())
	}
	if r.err != nil || n >= uint64(len(r.texts)) {
		r.Fail()
		return ""
	}
	return r.texts[n]
}
