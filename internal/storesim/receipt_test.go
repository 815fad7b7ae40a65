package storesim

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"storehub/doors"
)

// A till prints a receipt: its fields are there, ready for paper, and one copy is kept at
// headquarters, however often it is asked for; the checklist knows.
func TestStory_ReceiptIsKept(t *testing.T) {
	s := open(t)
	pos := s.Till()
	pi := pos.Authorise(1500)
	pos.WantCapture(pi, http.StatusOK)
	for range 2 {
		a := pos.API(http.MethodGet, "/v1/receipts/"+pi, "", "")
		var r struct {
			Text, ESCPOS string
			Missing      []string
		}
		if a.Status != http.StatusOK || a.JSON(&r) != nil || len(r.Missing) != 0 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		printer, err := base64.StdEncoding.DecodeString(r.ESCPOS)
		if err != nil || !strings.HasPrefix(string(printer), "\x1b@") || !strings.Contains(string(printer), "AID") || !strings.Contains(r.Text, "15.00 USD") {
			t.Errorf("on paper: %q\n%s", printer, r.Text)
		}
	}
	op := pos.WantOutcome(doors.Receipt, pi, doors.Succeeded)
	list, err := s.System().Doors().Operations(t.Context(), doors.Till{Name: "Demo till", Scope: doors.ScopeManager, Mode: doors.Test}, "", 1000)
	s.must("list operations", err)
	copies := 0
	for _, o := range list {
		if o.Kind == doors.Receipt {
			copies++
		}
	}
	if copies != 1 || op.Amount == nil || *op.Amount != 1500 {
		t.Errorf("%d copies, the first %+v", copies, op)
	}
	if again, err := s.admin().Receipt(t.Context(), pi); err != nil || again.Amount != 1500 || !strings.Contains(again.Text, "15.00 USD") {
		t.Errorf("hub receipt: %+v, %v", again, err)
	}
	if _, err := s.admin().Receipt(t.Context(), "pi_nobodys"); err == nil {
		t.Error("hub receipt shows one of a payment that was not made")
	}
	items, err := s.admin().Checklist(t.Context())
	s.must("ask for the checklist", err)
	if it := items.Items[5]; it.ID != "receipts" || it.State != "pass" || !strings.Contains(strings.Join(it.Evidence, " "), "a copy was kept") {
		t.Errorf("the checklist: %+v", it)
	}
}
