package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// reloc is one relocation as readelf or objdump prints it.
type reloc struct {
	section string // of the table
	off     uint64
	name    string // of the type
	symbol  string // of the symbol or section referred to
	addend  int64
}

// symbol is one symbol as readelf prints it; index is its section, as text.
type symbol struct {
	name, index, kind string
	value, size       uint64
}

func output(tool string, args ...string) (string, error) {
	out, err := exec.Command(tool, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", tool, err, out)
	}
	if m := complaintRE.FindString(string(out)); m != "" {
		return "", fmt.Errorf("%s", m)
	}
	return string(out), nil
}

var (
	complaintRE = regexp.MustCompile(`(?m)^\S*(readelf|objdump)\S*: ?(Warning|Error|warning|error|.*rror:).*$`)
	tableRE     = regexp.MustCompile(`^Relocation section '(.*)' at offset`)
	relocRE     = regexp.MustCompile(`^([0-9a-f]{12,16})  *[0-9a-f]{12,16} (R_\w+) +(?:([0-9a-f]{16}) +(.*?) ([+-]) ([0-9a-f]+)|(-?[0-9a-f]+))?\s*$`)
	symbolRE    = regexp.MustCompile(`^ *\d+: ([0-9a-f]{16}) +(\d+|0x[0-9a-f]+) (\w+) +\w+ +\w+ +(?:\[.*?\] +)?(OS ?\[0xff20\]|\w+)(?: (.*))?$`)
)

func readRelocs(path string, t tools) ([]reloc, error) {
	text, err := output(t.readelf, "-rW", path)
	if err != nil {
		return nil, err
	}
	var out []reloc
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := tableRE.FindStringSubmatch(line); m != nil {
			section = m[1]
			continue
		}
		m := relocRE.FindStringSubmatch(line)
		if m == nil {
			if strings.Contains(line, " R_") {
				return nil, fmt.Errorf("%s prints %q", t.readelf, line)
			}
			continue
		}
		r := reloc{section: section, name: m[2], symbol: m[4]}
		r.off, _ = strconv.ParseUint(m[1], 16, 64)
		if m[6] != "" {
			n, err := strconv.ParseUint(m[6], 16, 64)
			if err != nil {
				return nil, err
			}
			if r.addend = int64(n); m[5] == "-" {
				r.addend = -r.addend
			}
		}
		out = append(out, r)
	}
	return out, nil
}

func readSymbols(path string, t tools) ([]symbol, error) {
	text, err := output(t.readelf, "-sW", path)
	if err != nil {
		return nil, err
	}
	var out []symbol
	for line := range strings.Lines(text) {
		m := symbolRE.FindStringSubmatch(strings.TrimRight(line, " \n"))
		if m == nil {
			continue
		}
		s := symbol{name: m[5], kind: m[3], index: strings.ReplaceAll(m[4], " ", "")}
		s.value, _ = strconv.ParseUint(m[1], 16, 64)
		if s.size, err = strconv.ParseUint(m[2], 0, 64); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// line is one instruction of a section and the relocations in it.
type line struct {
	text   string
	relocs []reloc
}

// listing is the code of a section by offset.
type listing map[uint64]*line

var (
	sectionRE = regexp.MustCompile(`^Disassembly of section (.*):$`)
	insnRE    = regexp.MustCompile(`^ *([0-9a-f]+): *\t?\s*(.*)$`)
	inlineRE  = regexp.MustCompile(`^\s+([0-9a-f]+): +(R_\w+)\t?\s*(.*)$`)
	commentRE = regexp.MustCompile(`\s*(//|#|!) .*$`)
)

// disassemble returns the code of all sections as objdump prints it.
func disassemble(path string, t tools) (map[string]listing, error) {
	text, err := output(t.objdump, "-dr", "--no-show-raw-insn", "-z", path)
	if err != nil {
		return nil, err
	}
	out := map[string]listing{}
	section := ""
	var last *line
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\n")
		if m := sectionRE.FindStringSubmatch(l); m != nil {
			section, last = m[1], nil
			if out[section] != nil {
				section += "\x00again" // sections of one name: the first is the one looked at
			}
			out[section] = listing{}
			continue
		}
		if section == "" {
			continue
		}
		if m := inlineRE.FindStringSubmatch(l); m != nil && last != nil {
			off, err := strconv.ParseUint(m[1], 16, 64)
			if err != nil {
				return nil, err
			}
			r := reloc{section: section, off: off, name: m[2], symbol: m[3]}
			for _, sign := range []string{"+0x", "-0x"} {
				if i := strings.LastIndex(m[3], sign); i > 0 {
					n, err := strconv.ParseUint(m[3][i+3:], 16, 64)
					if err != nil {
						continue
					}
					if r.symbol, r.addend = m[3][:i], int64(n); sign == "-0x" {
						r.addend = -r.addend
					}
				}
			}
			last.relocs = append(last.relocs, r)
			continue
		}
		if m := insnRE.FindStringSubmatch(l); m != nil {
			off, err := strconv.ParseUint(m[1], 16, 64)
			if err != nil {
				return nil, err
			}
			last = &line{text: strings.Join(strings.Fields(commentRE.ReplaceAllString(m[2], "")), " ")}
			out[section][off] = last
		}
	}
	return out, nil
}
