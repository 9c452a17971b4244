package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

// teller prints the story.
type teller struct {
	w       io.Writer
	chapter int
}

const margin = "  "

// title begins a chapter.
func (t *teller) title(text string) {
	t.chapter++
	s := fmt.Sprintf("%d. %s", t.chapter, text)
	fmt.Fprintf(t.w, "\n%s\n%s\n", s, strings.Repeat("-", utf8.RuneCountInString(s)))
}

// say prints a paragraph, indented.
func (t *teller) say(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...) + "\n") {
		fmt.Fprint(t.w, strings.TrimRight(margin+line, " \n")+"\n")
	}
}

// quote prints lines of something else, such as a patch.
func (t *teller) quote(lines ...string) {
	for _, l := range lines {
		fmt.Fprintf(t.w, "%s    | %s\n", margin, l)
	}
}

// indented returns a writer for the output of programs.
func (t *teller) indented() io.Writer {
	return &lineWriter{line: func(l string) { t.say("  %s", l) }}
}

// lineWriter calls line for each whole line written to it.
type lineWriter struct {
	mu   sync.Mutex
	rest []byte
	line func(string)
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, b...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		w.line(strings.TrimRight(string(w.rest[:i]), "\r"))
		w.rest = w.rest[i+1:]
	}
}

// narrator returns a writer for the console of a VM that tells of labelled
// steps as they end, in the words that words has for the label, once for
// each; other steps are silent.
func (t *teller) narrator(words map[string]string) io.Writer {
	words = maps.Clone(words)
	return &lineWriter{line: func(l string) {
		_, text, ok := strings.Cut(l, guest.Prefix)
		if !ok {
			return
		}
		var ev guest.Event
		if json.Unmarshal([]byte(text), &ev) != nil {
			return
		}
		switch {
		case ev.Kind == guest.EvStart:
			t.say("vm: %s is up", ev.Kernel)
		case ev.Kind == guest.EvEnd && ev.Step != nil && ev.Step.OK && words[ev.Step.Label] != "":
			s := words[ev.Step.Label]
			if strings.Contains(s, "%d") {
				s = fmt.Sprintf(s, ev.Step.Millis)
			}
			delete(words, ev.Step.Label)
			t.say("vm: %s", s)
			if ev.Step.Op == guest.OpExpect {
				t.quote(firstWords(ev.Step.Out))
			}
		}
	}}
}
