package diagnostics

import (
	"fmt"
	"io"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
)

// The page, in millimetres.
const (
	pdfMargin = 18.0
	pdfState  = 30.0 // where an item's state ends and its title begins
	pdfLine   = 5.0
)

// WriteChecklistPDF writes the items for the folder that goes with a shop: A4, with
// the store and the time on each page. The same items at the same time are the same
// bytes.
func WriteChecklistPDF(w io.Writer, store string, at time.Time, items []Item) error {
	doc := fpdf.New("P", "mm", "A4", "")
	doc.SetCreationDate(at.UTC())
	doc.SetModificationDate(at.UTC())
	doc.SetCatalogSort(true)
	doc.SetProducer("Store Hub", true)
	doc.SetTitle("Deployment checklist", true)
	doc.AddUTF8FontFromBytes("go", "", goregular.TTF)
	doc.AddUTF8FontFromBytes("go", "B", gobold.TTF)
	doc.SetMargins(pdfMargin, pdfMargin, pdfMargin)
	doc.SetAutoPageBreak(true, pdfMargin)
	whose := at.UTC().Format("2006-01-02 15:04 UTC")
	if store != "" {
		whose = "Store " + store + ", " + whose
	}
	doc.SetFooterFunc(func() {
		doc.SetY(-12)
		pdfInk(doc, ItemNotApplicable)
		doc.SetFont("go", "", 8)
		doc.CellFormat(0, pdfLine, fmt.Sprintf("%s    page %d", printable(whose), doc.PageNo()), "", 0, "R", false, 0, "")
	})
	doc.AddPage()
	doc.SetFont("go", "B", 18)
	doc.CellFormat(0, 9, "Deployment checklist", "", 1, "L", false, 0, "")
	doc.SetFont("go", "", 10)
	doc.MultiCell(0, pdfLine, printable(whose+"\n"+summary(items)), "", "L", false)
	for _, it := range items {
		writeItem(doc, it)
	}
	if err := doc.Output(w); err != nil {
		return fmt.Errorf("write PDF: %w", err)
	}
	return nil
}

// writeItem keeps an item on one page, unless it is longer than that.
func writeItem(doc *fpdf.Fpdf, it Item) {
	type row struct{ word, text string }
	rows := []row{{"Looked at", it.Tested}}
	for _, part := range []struct {
		word  string
		lines []string
	}{{"Evidence", it.Evidence}, {"To do", it.Remedy}, {"Whose, when", []string{it.When()}}} {
		word := part.word
		for _, line := range part.lines {
			rows, word = append(rows, row{word, line}), ""
		}
	}
	title := printable(fmt.Sprintf("%d. %s", it.Number, it.Title))
	width, height := doc.GetPageSize()
	room := width - 2*pdfMargin - pdfState
	doc.SetFont("go", "B", 10)
	lines := len(doc.SplitText(title, room))
	doc.SetFont("go", "", 9)
	for i := range rows {
		rows[i].text = printable(rows[i].text)
		lines += len(doc.SplitText(rows[i].text, room))
	}
	const above, below = 2.5, 1.5
	need, left := above+below+float64(lines)*pdfLine, height-pdfMargin-doc.GetY()
	if need > left && (need <= height-2*pdfMargin || left < above+below+2*pdfLine) {
		doc.AddPage()
	}
	doc.Ln(above)
	doc.SetDrawColor(200, 200, 200)
	doc.Line(pdfMargin, doc.GetY(), width-pdfMargin, doc.GetY())
	doc.Ln(below)
	doc.SetFont("go", "B", 10)
	pdfInk(doc, it.State)
	doc.CellFormat(pdfState, pdfLine, strings.ReplaceAll(string(it.State), "_", " "), "", 0, "L", false, 0, "")
	doc.SetTextColor(0, 0, 0)
	doc.MultiCell(0, pdfLine, title, "", "L", false)
	doc.SetFont("go", "", 9)
	for _, r := range rows {
		doc.CellFormat(pdfState, pdfLine, r.word, "", 0, "L", false, 0, "")
		doc.MultiCell(0, pdfLine, r.text, "", "L", false)
	}
}

func pdfInk(doc *fpdf.Fpdf, s ItemState) {
	switch s {
	case ItemPass, ItemSignedOff:
		doc.SetTextColor(19, 115, 51)
	case ItemFail:
		doc.SetTextColor(179, 38, 30)
	case ItemNotApplicable:
		doc.SetTextColor(95, 99, 104)
	default:
		doc.SetTextColor(138, 90, 0)
	}
}

// printable leaves out what would not be seen on paper, and what lies outside the
// plane that the library's fonts reach.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r < ' ' || r == 0x7f || r == 0xfeff:
			return -1
		case r > 0xffff:
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
