package hub

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"storehub/diagnostics"
)

var namedButton = regexp.MustCompile(`press ([A-Z][a-z ]+) on the console's page ([A-Z][a-z]+)`)

// A remedy that names a button names one that is there, for whoever reads it.
func TestTheButtonsThatTheChecklistNamesAreThere(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	b := s.browse(t)
	b.enter(s)
	items := append(s.hub.checklist(t.Context(), false), diagnostics.Checklist(diagnostics.ChecklistInput{At: time.Now()})...)
	named := map[string]bool{}
	for _, it := range items {
		for _, m := range namedButton.FindAllStringSubmatch(strings.Join(it.Remedy, "\n"), -1) {
			named[m[1]] = true
			status, _, body := b.get("/console/" + strings.ToLower(m[2]))
			if status != http.StatusOK || !regexp.MustCompile(`<(button|a class="button)[^>]*>`+m[1]+`<`).MatchString(body) {
				t.Errorf("%s: %q: no such button on the page (%d)", it.ID, m[0], status)
			}
		}
	}
	for _, button := range []string{"Sign off", "Register a reader", "Test anew"} {
		if !named[button] {
			t.Errorf("no remedy names the button %q", button)
		}
	}
}
