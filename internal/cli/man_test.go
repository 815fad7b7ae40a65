package cli

import (
	"bytes"
	"testing"

	"github.com/alecthomas/kong"
)

type sample struct {
	Config string   `help:"A file." placeholder:"FILE"`
	Cut    cutCmd   `cmd:"" help:"Cut the line."`
	Inside struct{} `cmd:"" hidden:"" help:"Nobody's business."`
}

type cutCmd struct {
	Line string `arg:"" help:"Which."`
	Dry  bool   `help:"Only say what would be done."`
}

func (cutCmd) Help() string {
	return "Cuts it,\nand says so.\n\nExample:\n\n  .hub\\cut 'a-b'\n  hub cut `c`"
}

func TestManualPageTellsEveryCommandAsItIs(t *testing.T) {
	parser, err := kong.New(&sample{}, kong.Name("hub"), kong.Description("Keeps lines."))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Man(&b, parser.Model, "1.2"); err != nil {
		t.Fatal(err)
	}
	const want = `.TH HUB 1 "" "hub 1.2" "Store Hub"
.SH NAME
hub \- Keeps lines
.SH SYNOPSIS
.B hub
.RI [ flags ]
.I command
.SH OPTIONS
.TP
\fB\-\-help\fR
Show context\-sensitive help.
.TP
\fB\-\-config\fR=\fIFILE\fR
A file.
.SH COMMANDS
.SS hub cut <line>
Cut the line.
.PP
Cuts it, and says so.
.PP
Example:
.PP
.nf
  .hub\ecut \(aqa\-b\(aq
  hub cut \(gac\(ga
.fi
.TP
\fB\-\-dry\fR
Only say what would be done.
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}
