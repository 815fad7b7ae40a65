package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// Man writes the program's manual page, made from the commands themselves, as
// man(7) describes it.
func Man(w io.Writer, model *kong.Application, version string) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" %q \"Store Hub\"\n", strings.ToUpper(model.Name), roff(model.Name+" "+version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(model.Name), roff(strings.TrimSuffix(model.Help, ".")))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n.RI [ flags ]\n.I command\n", roff(model.Name))
	if detail := strings.TrimSpace(model.Detail); detail != "" {
		b.WriteString(".SH DESCRIPTION\n")
		manText(&b, detail)
	}
	b.WriteString(".SH OPTIONS\n")
	manFlags(&b, model.Node)
	b.WriteString(".SH COMMANDS\n")
	Walk(model.Node, "", func(path string, n *kong.Node) {
		if path == "" {
			return
		}
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(strings.TrimSpace(model.Name+" "+path+" "+manArguments(n))), roff(n.Help))
		manText(&b, n.Detail)
		manFlags(&b, n)
	})
	_, err := io.WriteString(w, b.String())
	return err
}

// manArguments are a command's positional ones, as in its help.
func manArguments(n *kong.Node) string {
	var words []string
	for _, p := range n.Positional {
		words = append(words, p.Summary())
	}
	return strings.Join(words, " ")
}

// manText keeps a help's paragraphs, and its indented lines as they are.
func manText(b *strings.Builder, text string) {
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		switch {
		case paragraph == "":
		case strings.HasPrefix(paragraph, "  "):
			fmt.Fprintf(b, ".PP\n.nf\n%s\n.fi\n", roff(paragraph))
		default:
			fmt.Fprintf(b, ".PP\n%s\n", roff(strings.ReplaceAll(paragraph, "\n", " ")))
		}
	}
}

// manFlags are those of one command alone.
func manFlags(b *strings.Builder, n *kong.Node) {
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR", roff("--"+f.Name))
		if !f.IsBool() {
			fmt.Fprintf(b, "=\\fI%s\\fR", roff(cmp.Or(f.PlaceHolder, strings.ToUpper(f.Name))))
		}
		fmt.Fprintf(b, "\n%s\n", roff(f.Help))
	}
}

// roff is text that the typesetter takes as it is.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
