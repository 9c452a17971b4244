package patchset

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
)

// message is one patch-carrying piece of an input: a mail, or the input as a
// whole when it is no mail.
type message struct {
	text    string // decoded; for mails the body from the end of the log message on
	base    int    // input lines before text, or -1 where decoding lost the count
	mail    bool
	subject string
	author  string
	log     string
	commit  string // from the "From <hash>" line of git format-patch
	number  int    // n of "[PATCH n/m]", 0 without
	total   int
	reply   bool // subject starts with "Re:"
}

var (
	// fromLineRE is the line that starts a mail in an mbox; the time tells it
	// from text that merely starts with "From ".
	fromLineRE = regexp.MustCompile(`^From \S+ .*\d\d:\d\d(:\d\d)?.*\d{4}\s*$`)
	headerRE   = regexp.MustCompile(`(?i)^(from|subject|date|received|return-path|delivered-to|message-id|mime-version|content-type|x-[a-z0-9-]+):`)
	hashRE     = regexp.MustCompile(`^From ([0-9a-f]{40}(?:[0-9a-f]{24})?) `)
	numberRE   = regexp.MustCompile(`^[^\[]*\[[^\]]*PATCH[^\]]*?\b0*(\d{1,6})/0*(\d{1,6})[^\]]*\]`)
	tagsRE     = regexp.MustCompile(`^(?:\s*\[[^\]]*\])+\s*`)
	replyRE    = regexp.MustCompile(`(?i)^\s*(re|aw|sv)\s*:`)
	fromBodyRE = regexp.MustCompile(`(?i)^From:\s*(.+)$`)
	unquoteRE  = regexp.MustCompile(`(?m)^>(>*From )`)
)

// splitMessages cuts an input into its mails. Text that is no mail comes
// back as one message.
func splitMessages(text string) []message {
	lines := splitLines(text)

	first := 0
	for first < len(lines) && strings.TrimSpace(lines[first]) == "" {
		first++
	}
	if first == len(lines) {
		return []message{{text: text}}
	}

	// Without a line "From " it is one mail, if it begins with a header, or no mail at all.
	if !fromLineRE.MatchString(trimEOL(lines[first])) {
		if headerRE.MatchString(lines[first]) {
			return []message{readMail(strings.Join(lines[first:], ""), first)}
		}
		return []message{{text: text}}
	}

	// An mbox: a line "From " begins a mail only behind an empty line and before a header;
	// elsewhere it is text.
	var out []message
	start := first
	for i := first + 1; i <= len(lines); i++ {
		if i < len(lines) && !(fromLineRE.MatchString(trimEOL(lines[i])) && strings.TrimSpace(lines[i-1]) == "" &&
			startsHeader(lines, i+1)) {
			continue
		}
		m := readMail(unquoteRE.ReplaceAllString(strings.Join(lines[start+1:i], ""), "$1"), start+1)
		if h := hashRE.FindStringSubmatch(lines[start]); h != nil && strings.Trim(h[1], "0") != "" {
			m.commit = h[1]
		}
		out = append(out, m)
		start = i
	}
	return out
}

func trimEOL(s string) string { return strings.TrimRight(s, "\r\n") }

// startsHeader says whether line i looks like a mail header field.
func startsHeader(lines []string, i int) bool {
	if i >= len(lines) {
		return false
	}
	name, _, ok := strings.Cut(lines[i], ":")
	return ok && name != "" && !strings.ContainsAny(name, " \t")
}

// readMail decodes one mail. Text that does not parse as one is taken as it is.
func readMail(text string, base int) message {
	parsed, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		return message{text: text, base: base}
	}
	body, changed := decodeBody(parsed.Header.Get("Content-Type"), parsed.Header.Get("Content-Transfer-Encoding"),
		parsed.Body, 0)
	out := message{mail: true, base: -1}
	if !changed {
		out.base = base + strings.Count(text, "\n") - strings.Count(body, "\n")
	}
	subject := decodeWord(parsed.Header.Get("Subject"))
	out.reply = replyRE.MatchString(subject)
	if n := numberRE.FindStringSubmatch(subject); n != nil {
		out.number, _ = strconv.Atoi(n[1])
		out.total, _ = strconv.Atoi(n[2])
	}
	out.subject = cleanSubject(subject)
	out.author = decodeWord(parsed.Header.Get("From"))
	// A leading From: in the body names the true author, as git am reads it.
	for line := range strings.Lines(body) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if f := fromBodyRE.FindStringSubmatch(trimEOL(line)); f != nil {
			out.author = f[1]
		}
		break
	}
	out.author = cleanAuthor(out.author)
	skip := logMessage(body)
	out.text, out.log = body[skip:], body[:skip]
	if out.base >= 0 {
		out.base += strings.Count(body[:skip], "\n")
	}
	return out
}

// logMessage returns the length of the log message at the start of a mail
// body: up to "---" or the first line of a diff, where git am cuts too.
func logMessage(body string) int {
	indent := 0
	prevMinus := -1 // offset of a "--- " line just before
	for line := range strings.Lines(body) {
		trimmed := trimEOL(line)
		switch {
		case strings.TrimRight(trimmed, " \t") == "---", strings.HasPrefix(trimmed, "diff -"),
			strings.HasPrefix(trimmed, "Index: "):
			return indent
		case strings.HasPrefix(trimmed, "+++ ") && prevMinus >= 0:
			return prevMinus
		}
		prevMinus = -1
		if strings.HasPrefix(trimmed, "--- ") {
			prevMinus = indent
		}
		indent += len(line)
	}
	return indent
}

// maxParts bounds the nesting of multipart mails.
const maxParts = 8

// decodeBody undoes the transfer encoding of a body and joins the text parts
// of a multipart one. changed is false when the text came through as it was.
// Damaged encodings yield what could be decoded; the diff parser then finds
// the patch cut off.
func decodeBody(ctype, encoding string, body io.Reader, depth int) (text string, changed bool) {
	kind, params, err := mime.ParseMediaType(ctype)

	// Of several parts, those that may hold a patch are joined in order; HTML is the same text
	// once more.
	if err == nil && strings.HasPrefix(kind, "multipart/") && depth < maxParts {
		var out strings.Builder
		parts := multipart.NewReader(body, params["boundary"])
		for {
			piece, err := parts.NextRawPart()
			if err != nil {
				return out.String(), true
			}
			t, _, _ := mime.ParseMediaType(piece.Header.Get("Content-Type"))
			if t != "" && !strings.HasPrefix(t, "text/") && !strings.HasPrefix(t, "multipart/") &&
				t != "application/octet-stream" {
				continue
			}
			if t == "text/html" {
				continue
			}
			part, _ := decodeBody(piece.Header.Get("Content-Type"), piece.Header.Get("Content-Transfer-Encoding"),
				piece, depth+1)
			out.WriteString(part)
			if part != "" && !strings.HasSuffix(part, "\n") {
				out.WriteByte('\n')
			}
		}
	}

	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		body, changed = quotedprintable.NewReader(body), true
	case "base64":
		body, changed = base64.NewDecoder(base64.StdEncoding, &base64Text{r: body}), true
	}
	var decoded bytes.Buffer
	_, _ = decoded.ReadFrom(body)
	return decoded.String(), changed
}

// base64Text drops white space, which base64.NewDecoder accepts only in part.
type base64Text struct{ r io.Reader }

func (t *base64Text) Read(buf []byte) (int, error) {
	n, err := t.r.Read(buf)
	kept := 0
	for _, c := range buf[:n] {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			buf[kept] = c
			kept++
		}
	}
	return kept, err
}

func decodeWord(s string) string {
	d, err := new(mime.WordDecoder).DecodeHeader(s)
	if err != nil {
		return s
	}
	return d
}

// cleanSubject drops reply marks, "[PATCH …]" tags and line folds.
func cleanSubject(subject string) string {
	subject = strings.Join(strings.Fields(subject), " ")
	for {
		cleaned := replyRE.ReplaceAllString(subject, "")
		cleaned = tagsRE.ReplaceAllString(cleaned, "")
		if cleaned = strings.TrimSpace(cleaned); cleaned == subject {
			return subject
		}
		subject = cleaned
	}
}

func cleanAuthor(author string) string {
	author = strings.Join(strings.Fields(author), " ")
	if a, err := mail.ParseAddress(author); err == nil {
		if a.Name == "" {
			return a.Address
		}
		return a.Name + " <" + a.Address + ">"
	}
	return author
}

// describe finds subject and author in the free text before a diff: the
// "git show" header, the fields of a quilt or Debian patch header, or the
// first line of prose.
func describe(preamble string) (subject, author, commit string) {
	prose := ""
	for line := range strings.Lines(preamble) {
		trimmed := trimEOL(line)
		field, value, ok := strings.Cut(trimmed, ":")
		value = strings.TrimSpace(value)
		switch {
		case commit == "" && strings.HasPrefix(trimmed, "commit ") && len(trimmed) >= 47:
			commit = strings.Fields(trimmed)[1]
		case ok && (strings.EqualFold(field, "Author") || strings.EqualFold(field, "From")):
			if author == "" {
				author = cleanAuthor(value)
			}
		case ok && (strings.EqualFold(field, "Subject") || strings.EqualFold(field, "Description")):
			if subject == "" {
				subject = cleanSubject(value)
			}
		case ok && !strings.Contains(field, " "):
		case strings.HasPrefix(trimmed, "diff "), strings.HasPrefix(trimmed, "Only in "),
			strings.HasPrefix(trimmed, "==="), strings.HasPrefix(trimmed, "---"), strings.HasPrefix(trimmed, "#"):
		case prose == "" && strings.TrimSpace(trimmed) != "":
			prose = cleanSubject(trimmed)
		}
	}
	if subject == "" {
		subject = prose
	}
	return subject, author, commit
}
