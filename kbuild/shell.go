package kbuild

import (
	"fmt"
	"strings"
)

// word is one word of a shell command: its text after quoting, and the raw
// characters it was written with. Separators such as ";" are words of their own.
type word struct {
	text, raw string
	operator  bool
}

// shellWords splits a command that uses words, quotes and the operators
// ; & | < > only, which is all that kbuild's compile commands do.
func shellWords(s string) ([]word, error) {
	var words []word
	i := 0
	for i < len(s) {
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\n':
			i++
		case strings.IndexByte(";&|<>", c) >= 0:
			j := i
			for j < len(s) && s[j] == c {
				j++
			}
			words = append(words, word{text: s[i:j], raw: s[i:j], operator: true})
			i = j
		default:
			text, n, err := shellWord(s[i:])
			if err != nil {
				return nil, err
			}
			words = append(words, word{text: text, raw: s[i : i+n]})
			i += n
		}
	}
	return words, nil
}

// shellWord reads one word and returns its text and the bytes it took.
func shellWord(s string) (string, int, error) {
	var b strings.Builder
	i := 0
	for i < len(s) {
		c := s[i]
		switch {
		case strings.IndexByte(" \t\n;&|<>", c) >= 0:
			return b.String(), i, nil
		case c == '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				return "", 0, fmt.Errorf("split command: a quote is not closed")
			}
			b.WriteString(s[i+1 : i+1+end])
			i += end + 2
		case c == '"':
			i++
			for i < len(s) && s[i] != '"' {
				if s[i] == '\\' && i+1 < len(s) && strings.IndexByte("\"\\$`", s[i+1]) >= 0 {
					i++
				}
				b.WriteByte(s[i])
				i++
			}
			if i == len(s) {
				return "", 0, fmt.Errorf("split command: a double quote is not closed")
			}
			i++
		case c == '\\' && i+1 < len(s):
			b.WriteByte(s[i+1])
			i += 2
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), i, nil
}

// compilerCall is the first command of a recorded compile command: the compiler
// without the steps (objtool, recordmcount) that follow it.
func compilerCall(cmd string) ([]word, error) {
	words, err := shellWords(cmd)
	if err != nil {
		return nil, err
	}
	for i, w := range words {
		if w.operator {
			words = words[:i]
			break
		}
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("split command: it is empty")
	}
	return words, nil
}

// preprocessCall turns a compile command into one that writes preprocessed text to
// standard output. extra is put in front of the other options.
func preprocessCall(cmd string, extra ...string) ([]string, error) {
	words, err := compilerCall(cmd)
	if err != nil {
		return nil, err
	}
	var argv []string
	compiles := false
	for i := 0; i < len(words); i++ {
		switch w := words[i].text; {
		case w == "-c":
			compiles = true
			argv = append(argv, extra...)
		case w == "-o":
			i++
		case strings.HasPrefix(w, "-Wp,-M"): // dependency file
		default:
			argv = append(argv, w)
		}
	}
	if !compiles {
		return nil, fmt.Errorf("split command: it does not compile anything: %.60s", cmd)
	}
	return argv, nil
}
