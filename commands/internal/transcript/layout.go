// Package transcript implements the toolkit's commands for transcripts: it shows OTR messages in
// a readable layout, and reads, changes and forges them with keys.
package transcript

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fatih/color"

	"otrpipe/commands/internal/terminal"
	"otrpipe/otr/toolkit"
)

const (
	// labelWidth is the width of the column of field names, including indent and gap. Together
	// with a row of bytes it fills the 80 columns of a terminal.
	labelWidth = 27
	// rowBytes is the number of bytes on a row, in groups of groupBytes.
	rowBytes   = 24
	groupBytes = 4
	// shortBytes is the number of bytes to show of a shortened field.
	shortBytes = 4 * rowBytes
)

// labelOf returns the name of a message type in the specifications; "": it has none.
func labelOf(messageType string) string {
	switch messageType {
	case "query":
		return "Query"
	case "whitespace_tag":
		return "Whitespace tag"
	case "error":
		return "Error"
	case "fragment":
		return "Fragment"
	case "d_h_commit":
		return "D-H Commit"
	case "d_h_key":
		return "D-H Key"
	case "reveal_signature":
		return "Reveal Signature"
	case "signature":
		return "Signature"
	case "data":
		return "Data"
	case "identity":
		return "Identity"
	case "auth_r":
		return "Auth-R"
	case "auth_i":
		return "Auth-I"
	case "non_interactive_auth":
		return "Non-Interactive-Auth"
	case "prekey_ensemble":
		return "Prekey ensemble"
	}
	return ""
}

// A Layout writes messages in a readable form.
type Layout struct {
	w    io.Writer
	full bool // do not shorten fields

	title, label, good, bad *color.Color
}

// New returns a Layout that writes to w, in colour and with long fields in full if asked for.
func New(w io.Writer, colour, full bool) *Layout {
	l := &Layout{
		w: w, full: full,
		title: color.New(color.Bold), label: color.New(color.Faint),
		good: color.New(color.FgGreen), bad: color.New(color.FgRed),
	}
	for _, c := range []*color.Color{l.title, l.label, l.good, l.bad} {
		if colour {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
	}
	return l
}

// Message writes a message, one field per row, and an empty line.
func (l *Layout) Message(m *toolkit.Message) error {
	name := labelOf(m.Name)
	if name == "" {
		name = "Unknown message"
	}
	if m.Number > 0 {
		name = fmt.Sprintf("%d. %s", m.Number, name)
	}
	place := m.Position.String()
	if m.Pieces > 0 {
		place += fmt.Sprintf(", in %d fragments", m.Pieces)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", l.title.Sprint(name), l.label.Sprint("("+place+")"))
	l.fields(&b, m.Fields, "  ")
	if m.Err != nil {
		fmt.Fprintf(&b, "  %s\n", l.bad.Sprintf("cannot be read: %s, at %v", terminal.Visible(m.Err.Error()), m.ErrAt))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(l.w, b.String())
	return err
}

func (l *Layout) fields(b *strings.Builder, fields toolkit.Fields, indent string) {
	for _, f := range fields {
		label := indent + strings.ReplaceAll(f.Name, "_", " ")
		switch v := f.Value.(type) {
		case toolkit.Fields:
			fmt.Fprintf(b, "%s\n", l.label.Sprint(label))
			l.fields(b, v, indent+"  ")
			continue
		case []toolkit.Fields:
			l.list(b, label, v)
			continue
		}
		label = fmt.Sprintf("%-*s", labelWidth, label)
		rows := l.rows(f.Value)
		for i, row := range rows {
			if i > 0 {
				label = strings.Repeat(" ", labelWidth)
			}
			fmt.Fprintf(b, "%s%s\n", l.label.Sprint(label), l.judged(f.Name, row))
		}
	}
}

// list writes a list of objects, such as the MAC keys that a message reveals.
func (l *Layout) list(b *strings.Builder, label string, all []toolkit.Fields) {
	if len(all) == 0 {
		fmt.Fprintf(b, "%s%s\n", l.label.Sprintf("%-*s", labelWidth, label), "none")
		return
	}
	fmt.Fprintf(b, "%s\n", l.label.Sprint(label))
	indent := strings.Repeat(" ", len(label)-len(strings.TrimLeft(label, " "))+2)
	for _, fields := range all {
		l.fields(b, fields, indent)
	}
}

// rows returns the lines of a value.
func (l *Layout) rows(value any) []string {
	switch v := value.(type) {
	case toolkit.Hex:
		return l.hexRows(v)
	case []uint64:
		words := make([]string, len(v))
		for i, n := range v {
			words[i] = fmt.Sprint(n)
		}
		if len(v) == 1 {
			return []string{"message " + words[0]}
		}
		return []string{"messages " + strings.Join(words, ", ")}
	case bool:
		if v {
			return []string{"yes"}
		}
		return []string{"no"}
	case time.Time:
		return []string{v.UTC().Format(time.RFC3339)}
	case string:
		if !l.full && len(v) > 2*shortBytes {
			shown := strings.ToValidUTF8(v[:2*shortBytes-rowBytes], "")
			return []string{terminal.Visible(shown), fmt.Sprintf("… %d bytes in all", len(v))}
		}
		return []string{terminal.Visible(v)}
	}
	return []string{fmt.Sprint(value)}
}

func (l *Layout) hexRows(v []byte) (rows []string) {
	if len(v) == 0 {
		return []string{"none"}
	}
	shown := v
	if !l.full && len(v) > shortBytes {
		shown = v[:shortBytes-rowBytes]
	}
	for rest := shown; len(rest) > 0; {
		row := rest[:min(rowBytes, len(rest))]
		rest = rest[len(row):]
		var groups []string
		for len(row) > 0 {
			n := min(groupBytes, len(row))
			groups = append(groups, fmt.Sprintf("%x", row[:n]))
			row = row[n:]
		}
		rows = append(rows, strings.Join(groups, " "))
	}
	if len(shown) < len(v) {
		rows = append(rows, fmt.Sprintf("… %d bytes in all", len(v)))
	}
	return rows
}

// judged colours the result of a check.
func (l *Layout) judged(name, row string) string {
	switch {
	case name == "fault", (name == "valid" || name == "sigma_check") && row != "yes" && row != "valid":
		return l.bad.Sprint(row)
	case name == "valid", name == "sigma_check", name == "authenticates":
		return l.good.Sprint(row)
	}
	return row
}
