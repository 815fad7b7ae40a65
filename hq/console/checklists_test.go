package console

import (
	"regexp"
	"testing"
	"time"

	"storehub/hq"
)

// A store's checklist says whose each item is and when it is due; of an older hub, that
// it does not tell.
func TestAStoresChecklistHasOwnerAndDate(t *testing.T) {
	c, s := headquarters(t, 5)
	ada := enter(t, c, s, "Ada", hq.RoleOperator)
	due := regexp.MustCompile(`<td data-th="Owner">([^<]*)</td><td data-th="Next due">([^<]*)</td>`)
	for store, want := range map[string]string{"00001": `^headquarters \d{4}-\d\d-\d\d$`, "00002": "^not told not told$"} {
		rows := due.FindAllStringSubmatch(ada.get("/console/stores/"+store), -1)
		if len(rows) != 15 {
			t.Errorf("%s: %d items", store, len(rows))
		}
		for _, m := range rows {
			if !regexp.MustCompile(want).MatchString(m[1] + " " + m[2]) {
				t.Errorf("%s: %q, want %s", store, m[1:], want)
			}
		}
	}
}

// The matrix says of each store which item is due next, and when: the first of all that
// have a date.
func TestTheMatrixHasWhatIsDueNext(t *testing.T) {
	c, s := headquarters(t, 5)
	ada := enter(t, c, s, "Ada", hq.RoleOperator)
	page := ada.get("/console/checklists")
	for store, want := range map[string]string{"00001": `\d{4}-\d\d-\d\d \(1\)`, "00002": "not told"} {
		row := regexp.MustCompile(`(?s)<tr[^>]*><th scope="row"><a href="/console/stores/` + store + `#.*?</tr>`).FindString(page)
		if !regexp.MustCompile(`<td>` + want + `</td><td>`).MatchString(row) {
			t.Errorf("%s: not %q: %s", store, want, row)
		}
	}
	at := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	later := hq.ReportItem{Number: 3, State: "pass", Owner: "shop", NextDue: at.AddDate(0, 1, 0)}
	for want, items := range map[string][]hq.ReportItem{
		"2026-12-01 (9)": {later, {Number: 9, State: "pass", Owner: "shop", NextDue: at}, {Number: 12, State: "pass", Owner: "shop"}},
		"none":           {{Number: 12, State: "pass", Owner: "shop"}},
		"not told":       {},
	} {
		if got := (matrixRow{StoreChecklist: hq.StoreChecklist{Items: items}}).Due(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
