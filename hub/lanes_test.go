package hub

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"storehub/doors"
	"storehub/readers"
)

// followed is the event "readers" as a till reads it.
type followed struct {
	Readers []struct {
		Serial string   `json:"serial"`
		Holder string   `json:"holder"`
		Lanes  []string `json:"lanes"`
		Yours  bool     `json:"yours"`
	} `json:"readers"`
}

// TestATillFollowsTheListAndFindsItsReader: the list comes whole, and again when a
// person pins a reader and when a till takes hold of it; a restart forgets no pin.
func TestATillFollowsTheListAndFindsItsReader(t *testing.T) {
	f := newFakeHQ()
	f.readers = []json.RawMessage{
		[]byte(`{"id":"tmr_1","serial_number":"S1","label":"1","device_type":"simulated_wisepos_e","ip_address":"0.0.0.0","status":"online"}`),
		[]byte(`{"id":"tmr_2","serial_number":"S2","label":"2","device_type":"simulated_wisepos_e","ip_address":"0.0.0.0","status":"online"}`)}
	s := open(t, f, t.TempDir())
	list := s.follow("/v1/readers")
	whole := func(ok func(followed) bool) followed {
		var l followed
		await(t, list, func(e sse) bool {
			l = followed{}
			return e.Type == "readers" && json.Unmarshal([]byte(e.Data), &l) == nil && len(l.Readers) == 2 && ok(l)
		})
		return l
	}
	if l := whole(func(followed) bool { return true }); l.Readers[0].Serial != "S1" || l.Readers[0].Yours || len(l.Readers[0].Lanes) > 0 || l.Readers[0].Holder != readers.HeldUnknown {
		t.Errorf("at first: %+v", l)
	}
	a, err := DialAdmin(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := a.Pin(t.Context(), PinRequest{Till: "till-1", Reader: "tmr_2"}); err != nil || r.Serial != "S2" || !r.Yours {
		t.Fatalf("pin: %+v, %v", r, err)
	}
	whole(func(l followed) bool {
		return l.Readers[1].Yours && strings.Join(l.Readers[1].Lanes, "") == "till-1" && !l.Readers[0].Yours
	})
	for _, held := range []struct{ body, want string }{{`{"connected":true}`, readers.HeldBySDK}, {`{"connected":false}`, readers.HeldByNobody}} {
		if status, body := s.ask("POST", "/v1/readers/S2/reports", s.credential, held.body); status != http.StatusOK {
			t.Fatalf("report: %d %s", status, body)
		}
		whole(func(l followed) bool { return l.Readers[1].Holder == held.want })
	}
	for _, wrong := range []PinRequest{{Till: "till-9", Reader: "S1"}, {Till: "till-1", Reader: "S9"}} {
		if _, err := a.Pin(t.Context(), wrong); !errors.Is(err, doors.ErrNotFound) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	if again, err := openLanes(s.dir); err != nil || strings.Join(again.at("S2"), "") != "till-1" {
		t.Errorf("after a restart: %+v, %v", again, err)
	}
	if _, err := a.Pin(t.Context(), PinRequest{Till: "till-1"}); err != nil {
		t.Fatal(err)
	}
	whole(func(l followed) bool { return !l.Readers[1].Yours && len(l.Readers[1].Lanes) == 0 })
}

// TestLanesThatCannotBeReadAreNotNone: a till must not take its neighbour's reader.
func TestLanesThatCannotBeReadAreNotNone(t *testing.T) {
	for _, text := range []string{`{"version":2,"readers":{}}`, `{"version":1,`, ""} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "lanes.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openLanes(dir); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

// TestAdviceSaysWhichOfTheTwoIsElsewhere: by where the hub is.
func TestAdviceSaysWhichOfTheTwoIsElsewhere(t *testing.T) {
	nets := []netip.Prefix{netip.MustParsePrefix("192.168.7.10/24")}
	for _, c := range []struct{ till, reader, want string }{
		{"192.168.60.22", "192.168.7.31", "This till is on another network (192.168.60.22) than the card reader, perhaps the guest Wi-Fi. Connect the till to the shop's own network."},
		{"192.168.7.22", "192.168.60.31", "The card reader is on another network (192.168.60.31) than this till and the store hub. Connect the reader to the shop's own network."},
		{"127.0.0.1", "192.168.60.31", "The card reader is on another network (192.168.60.31) than this till and the store hub. Connect the reader to the shop's own network."},
		{"192.168.60.22", "192.168.61.31", "This till (192.168.60.22) and the card reader (192.168.61.31) are on different networks. Put both on the shop's own network, not on the one for guests."},
	} {
		if got := notTogether(nets, netip.MustParseAddr(c.till), netip.MustParseAddr(c.reader)); got != c.want {
			t.Errorf("till %s, reader %s:\n got %s\nwant %s", c.till, c.reader, got, c.want)
		}
	}
}
