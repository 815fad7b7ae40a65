package lab

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestTableIsWhole: enough rows of each kind, no name twice, and every code of
// docs/findings.md either has a row or a reason why not.
func TestTableIsWhole(t *testing.T) {
	faults, pairs, benign := 0, 0, 0
	seen, proved := map[string]bool{}, map[string]bool{}
	for _, r := range Rows {
		if seen[r.Name] {
			t.Errorf("%s stands twice in the table", r.Name)
		}
		seen[r.Name] = true
		switch {
		case r.Benign():
			benign++
		case len(r.Both) > 0:
			pairs++
		default:
			faults++
		}
		proved[r.Code], proved[r.Or], proved[r.Info] = true, true, true
	}
	if faults < 60 || pairs < 8 || benign < 12 {
		t.Errorf("%d faults, %d pairs, %d benign rows", faults, pairs, benign)
	}
	page, err := os.ReadFile("../../docs/findings.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^### ([a-z0-9_]+)$`).FindAllStringSubmatch(string(page), -1)
	if len(codes) < 40 {
		t.Fatalf("docs/findings.md has %d codes", len(codes))
	}
	for _, m := range codes {
		if _, excused := notHere[m[1]]; proved[m[1]] == excused {
			t.Errorf("%s: has a row: %t, has an excuse: %t; want one of the two", m[1], proved[m[1]], excused)
		}
	}
	if _, unknown := Find(Rows, short); unknown != "" {
		t.Errorf("the short selection asks for %q", unknown)
	}
	if !slices.ContainsFunc(Rows, func(r Row) bool { return r.Name == "healthy" }) {
		t.Error("nobody asks for the healthy shop")
	}
}

func TestExamRefusesAnUnknownRow(t *testing.T) {
	if err := Exam(t.Context(), Task{Rows: []string{"no-such-row"}}, func(Outcome) {}); err == nil {
		t.Error("a row that is not there was asked")
	}
}

// TestNoLabWhereThereIsAWayOut: a lab is refused outside of a sealed copy.
func TestNoLabWhereThereIsAWayOut(t *testing.T) {
	if ways, err := os.ReadFile("/proc/net/route"); err != nil || len(regexp.MustCompile(`\n.`).FindAll(ways, -1)) == 0 {
		t.Log("this machine has no route itself") // then there is nothing to refuse
		return
	}
	if err := sealedOff(); err == nil {
		t.Error("a lab would be built where packets can leave")
	}
}
