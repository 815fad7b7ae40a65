package console

import (
	"regexp"
	"testing"

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
