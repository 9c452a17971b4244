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
func shellWords(line string) ([]word, error) {
	var words []word
	i := 0
	for i < len(line) {
		switch c := line[i]; {
		case c == ' ' || c == '\t' || c == '\n':
			i++
		case strings.IndexByte(";&|<>", c) >= 0:
			j := i
			for j < len(line) && line[j] == c {
				j++
			}
			words = append(words, word{text: line[i:j], raw: line[i:j], operator: true})
			i = j
		default:
			text, n, err := shellWord(line[i:])
			if err != nil {
				return nil, err
			}
			words = append(words, word{text: text, raw: line[i : i+n]})
			i += n
		}
	}
	return words, nil
}

// shellWord reads one word and returns its text and the bytes it took.
func shellWord(text string) (string, int, error) {
	var out strings.Builder
	i := 0
	for i < len(text) {
		// Quotes and backslashes as POSIX shells have them; nothing is expanded.
		char := text[i]

		switch {
		case strings.IndexByte(" \t\n;&|<>", char) >= 0:
			return out.String(), i, nil
		case char == '\'':
			end := strings.IndexByte(text[i+1:], '\'')
			if end < 0 {
				return "", 0, fmt.Errorf("split command: a quote is not closed")
			}
			out.WriteString(text[i+1 : i+1+end])
			i += end + 2
		case char == '"':
			i++
			for i < len(text) && text[i] != '"' {
				if text[i] == '\\' && i+1 < len(text) && strings.IndexByte("\"\\$`", text[i+1]) >= 0 {
					i++
				}
				out.WriteByte(text[i])
				i++
			}
			if i == len(text) {
				return "", 0, fmt.Errorf("split command: a double quote is not closed")
			}
			i++
		case char == '\\' && i+1 < len(text):
			out.WriteByte(text[i+1])
			i += 2
		default:
			out.WriteByte(char)
			i++
		}
	}
	return out.String(), i, nil
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
		switch text := words[i].text; {
		case text == "-c":
			compiles = true
			argv = append(argv, extra...)
		case text == "-o":
			i++
		case strings.HasPrefix(text, "-Wp,-M"): // dependency file
		default:
			argv = append(argv, text)
		}
	}
	if !compiles {
		return nil, fmt.Errorf("split command: it does not compile anything: %.60s", cmd)
	}
	return argv, nil
}
