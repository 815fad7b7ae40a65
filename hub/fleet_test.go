package hub

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/mdns"
	"storehub/netcheck"
	"storehub/readers"
)

func TestReadersOfHeadquartersAreRead(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		raw  string
		want readers.Observation
	}{
		{`{"id":"tmr_1","serial_number":"S1","label":"Lane 1","device_type":"stripe_s700","device_sw_version":"2.42.1","ip_address":"192.168.7.31","status":"online","last_seen_at":1795000000123}`,
			readers.Observation{Source: readers.FromStripe, ID: "tmr_1", Serial: "S1", Label: "Lane 1", DeviceType: "stripe_s700", Software: "2.42.1",
				Addr: netip.MustParseAddr("192.168.7.31"), Online: readers.Yes, LastSeen: time.UnixMilli(1795000000123).UTC(), Busy: readers.No, At: at}},
		{`{"id":"tmr_2","serial_number":"S2","device_type":"a_new_one","ip_address":null,"status":null,"last_seen_at":null,"action":{"type":"x"}}`,
			readers.Observation{Source: readers.FromStripe, ID: "tmr_2", Serial: "S2", DeviceType: "a_new_one", Busy: readers.No, At: at}},
		{`{"id":"tmr_3","ip_address":"nowhere","status":"offline"}`,
			readers.Observation{Source: readers.FromStripe, ID: "tmr_3", Online: readers.No, Busy: readers.No, At: at}},
	} {
		got, err := observation(json.RawMessage(tc.raw), at)
		if err != nil || got != tc.want {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", tc.raw, got, err, tc.want)
		}
	}
	if got, err := observation(json.RawMessage(`{"id":"tmr_4","action":{"type":"process_payment_intent","status":"in_progress"}}`), at); err != nil || got.Busy != readers.Yes {
		t.Errorf("an action in progress: busy %v, %v", got.Busy, err)
	}
	if _, err := observation(json.RawMessage(`[]`), at); err == nil {
		t.Error("a list was read as a reader")
	}
}

func FuzzObservation(f *testing.F) {
	f.Add([]byte(`{"id":"tmr_1","serial_number":"S1","ip_address":"10.0.0.1","status":"online","last_seen_at":1}`))
	f.Add([]byte(`{"last_seen_at":-9223372036854775808}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := observation(raw, time.Unix(1, 0))
		if err == nil && o.Source != readers.FromStripe {
			t.Fatalf("%+v", o)
		}
	})
}

// Simulated readers have no place on a LAN; a real one is knocked at and nothing else is.
func TestOnlyRealReadersAreKnockedAt(t *testing.T) {
	h := bare(t)
	var mu sync.Mutex
	var knocked []string
	h.fleet.lan.dial = func(_ context.Context, _, addr string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		knocked = append(knocked, addr)
		if addr == "192.168.7.32:4443" {
			return nil, errors.New("connection refused")
		}
		here, there := net.Pipe()
		_ = there.Close()
		return here, nil
	}
	f := h.parts.HQ.(*fakeHQ)
	f.readers = []json.RawMessage{
		[]byte(`{"id":"tmr_1","serial_number":"S1","label":"1","device_type":"stripe_s700","ip_address":"192.168.7.31","status":"online"}`),
		[]byte(`{"id":"tmr_2","serial_number":"S2","label":"2","device_type":"stripe_s700","ip_address":"192.168.7.32","status":"online"}`),
		[]byte(`{"id":"tmr_3","serial_number":"S3","label":"3","device_type":"simulated_wisepos_e","ip_address":"0.0.0.0","status":"online"}`),
		[]byte(`{"id":"tmr_4","serial_number":"S4","label":"4","device_type":"stripe_m2","status":"offline"}`),
	}
	h.fleet.poll(t.Context())
	h.fleet.probe(t.Context(), true)
	slices.Sort(knocked)
	if want := []string{"192.168.7.31:4443", "192.168.7.32:4443"}; !slices.Equal(knocked, want) {
		t.Errorf("knocked at %v, want %v", knocked, want)
	}
	if r := h.fleet.registry.Snapshot(); len(r) != 4 || r[0].Reachable != readers.Yes || r[2].Reachable != readers.Unknown {
		t.Errorf("registry: %+v", r)
	}
	if got := h.targets().Readers; !slices.Equal(got, []string{"192.168.7.31", "192.168.7.32"}) {
		t.Errorf("the network check is told of %v", got)
	}
}

// Headquarters' clock may be an hour off: its list is new all the same.
func TestAListIsAsOldAsItIsHere(t *testing.T) {
	h := bare(t)
	f := h.parts.HQ.(*fakeHQ)
	f.readers = []json.RawMessage{[]byte(`{"id":"tmr_1","serial_number":"S1","device_type":"simulated_wisepos_e","ip_address":"0.0.0.0","status":"online"}`)}
	late := &lateHQ{fakeHQ: f, at: time.Now().Add(-time.Hour)}
	h.hq = &watched{hq: late, link: h.link}
	h.fleet.poll(t.Context())
	h.fleet.registry.Sweep(time.Now())
	if r := h.fleet.registry.Snapshot(); len(r) != 1 || r[0].Online != readers.Yes {
		t.Errorf("%+v", r)
	}
	late.at = time.Time{}
	f.readers = nil
	h.fleet.poll(t.Context())
	if r := h.fleet.registry.Snapshot(); len(r) != 1 {
		t.Error("a headquarters that has not asked Stripe yet emptied the list")
	}
}

type lateHQ struct {
	*fakeHQ
	at time.Time
}

func (l *lateHQ) Readers(ctx context.Context) (hq.ReaderList, error) {
	list, err := l.fakeHQ.Readers(ctx)
	list.At = l.at
	return list, err
}

func TestReaderChangesAreTold(t *testing.T) {
	f := newFakeHQ()
	f.answers[doors.RegisterReader] = `{"id":"tmr_9","object":"terminal.reader"}`
	s := open(t, f, t.TempDir())
	events := s.listen("")
	f.set(func(f *fakeHQ) {
		f.readers = []json.RawMessage{[]byte(`{"id":"tmr_9","serial_number":"S9","label":"New","device_type":"simulated_wisepos_e","ip_address":"0.0.0.0","status":"online"}`)}
	})
	// Registering a reader is followed by a look at the list at once.
	if status, body := s.ask("POST", "/v1/readers", s.credential, `{"registration_code":"simulated-wpe","label":"New"}`); status != http.StatusOK && status != http.StatusCreated {
		t.Fatalf("register: %d %s", status, body)
	}
	e := await(t, events, func(e sse) bool { return e.Type == eventReader })
	if !strings.Contains(e.Data, `"S9"`) {
		t.Errorf("event: %s", e.Data)
	}
	if status, body := s.ask("GET", "/v1/readers", s.credential, ""); status != http.StatusOK || !strings.Contains(body, `"label":"New"`) {
		t.Errorf("readers: %d %s", status, body)
	}
}

func TestAnotherStoresCredentialIsNotTaken(t *testing.T) {
	h := bare(t)
	h.parts.HQ.(*fakeHQ).store.ID = "0999"
	if h.learnStore(t.Context()) || h.store.Load() != nil {
		t.Error("the record of another store was taken")
	}
	if rememberedStore(h.cfg.StateDir, "0412") != nil {
		t.Error("the record of another store was kept")
	}
}

func TestTheStoreIsRememberedForDaysWithoutInternet(t *testing.T) {
	dir := t.TempDir()
	s := hq.Store{ID: "0412", Location: "tml_1", Mode: doors.Live}
	if err := RememberStore(dir, s); err != nil {
		t.Fatal(err)
	}
	if got := rememberedStore(dir, "0412"); got == nil || *got != s {
		t.Errorf("got %+v", got)
	}
	if rememberedStore(dir, "0413") != nil {
		t.Error("the record of another store was taken")
	}
}

func TestASecondHubIsNoticed(t *testing.T) {
	peer := func(store, addr string) mdns.Peer {
		return mdns.Peer{Instance: "x", Host: "pc2.local", Addrs: []netip.Addr{netip.MustParseAddr(addr)}, Port: 7443, Text: map[string]string{"store": store}}
	}
	own := []string{"127.0.0.1", "192.168.7.2"}
	for _, tc := range []struct {
		peers []mdns.Peer
		want  string
	}{
		{nil, ""},
		{[]mdns.Peer{peer("0412", "192.168.7.2")}, ""},
		{[]mdns.Peer{peer("0999", "192.168.7.3")}, ""},
		{[]mdns.Peer{peer("0412", "192.168.7.2"), peer("0412", "192.168.7.3")}, "pc2.local 192.168.7.3:7443"},
	} {
		if got := secondHub(tc.peers, "0412", own); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.peers, got, tc.want)
		}
	}
}

// TestWhetherATillAndAReaderAreInOneNetwork: judged by the hub's own networks, and by
// what a shop's network is wide where neither is in one.
func TestWhetherATillAndAReaderAreInOneNetwork(t *testing.T) {
	lans := []netip.Prefix{netip.MustParsePrefix("192.168.7.10/24"), netip.MustParsePrefix("10.20.0.5/16"), netip.MustParsePrefix("fd00:7::10/64")}
	for _, tt := range []struct {
		till, reader string
		want         readers.Tri
	}{
		{"192.168.7.22", "192.168.7.31", readers.Yes},
		{"::ffff:192.168.7.22", "192.168.7.31", readers.Yes},
		{"10.20.9.22", "10.20.200.31", readers.Yes},
		{"192.168.8.22", "192.168.7.31", readers.No}, // the till is on the guest network
		{"192.168.7.22", "192.168.8.31", readers.No}, // the reader is
		{"10.20.9.22", "192.168.7.31", readers.No},
		{"192.168.9.22", "192.168.9.31", readers.Yes}, // by a router in between
		{"192.168.9.22", "192.168.12.31", readers.Unknown},
		{"127.0.0.1", "192.168.7.31", readers.Yes}, // it runs beside the hub
		{"127.0.0.1", "192.168.8.31", readers.No},
		{"fd00:7::22", "192.168.7.31", readers.Unknown}, // two families say nothing of one cable
		{"", "192.168.7.31", readers.Unknown},
		{"192.168.7.22", "0.0.0.0", readers.Unknown},
	} {
		var till netip.Addr
		if tt.till != "" {
			till = netip.MustParseAddr(tt.till)
		}
		if got := sameNetwork(lans, till, netip.MustParseAddr(tt.reader)); got != tt.want {
			t.Errorf("till %s, reader %s: %v, want %v", tt.till, tt.reader, got, tt.want)
		}
		if got := sameNetwork(nil, till, netip.MustParseAddr(tt.reader)); got == readers.No {
			t.Errorf("till %s, reader %s: no, by no network at all", tt.till, tt.reader)
		}
	}
}

// TestATillLearnsWhetherItCanReachAReader: the answer is the asking till's own, with
// words for the cashier, and none for readers that are nowhere on a LAN.
func TestATillLearnsWhetherItCanReachAReader(t *testing.T) {
	h := bare(t)
	h.fleet.lan.nets = func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("192.168.7.10/24")} }
	h.fleet.lan.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }
	h.parts.HQ.(*fakeHQ).readers = []json.RawMessage{
		[]byte(`{"id":"tmr_1","serial_number":"S1","label":"1","device_type":"stripe_s700","ip_address":"192.168.7.31","status":"online"}`),
		[]byte(`{"id":"tmr_2","serial_number":"S2","label":"2","device_type":"simulated_wisepos_e","ip_address":"0.0.0.0","status":"online"}`),
	}
	h.fleet.poll(t.Context())
	for from, want := range map[string]readers.Tri{"192.168.7.22": readers.Yes, "192.168.60.22": readers.No} {
		v, err := h.Readers(t.Context(), doors.Till{Name: "Lane 1", Scope: doors.ScopePOS, Addr: netip.MustParseAddr(from)})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Readers []struct {
				Serial, Label, Advice string
				SameNetwork           readers.Tri `json:"same_network"`
			}
		}
		if err := json.Unmarshal(raw, &got); err != nil || len(got.Readers) != 2 {
			t.Fatalf("%s: %v", raw, err)
		}
		lane, simulated := got.Readers[0], got.Readers[1]
		if lane.Serial != "S1" || lane.Label != "1" || lane.SameNetwork != want || (lane.Advice != "") != (want == readers.No) {
			t.Errorf("from %s: %+v, want %v", from, lane, want)
		}
		if simulated.SameNetwork != readers.Unknown || simulated.Advice != "" {
			t.Errorf("from %s, a simulated reader: %+v", from, simulated)
		}
	}
}

// TestAReadersHardwareAddressIsWhatTheLANAnswered: believed of a reader that answers
// there itself, and of nobody else who has its address.
func TestAReadersHardwareAddressIsWhatTheLANAnswered(t *testing.T) {
	h := bare(t)
	h.fleet.lan.dial = func(_ context.Context, _, addr string) (net.Conn, error) {
		if !strings.HasPrefix(addr, "192.168.7.31:") {
			return nil, errors.New("connection refused")
		}
		here, there := net.Pipe()
		_ = there.Close()
		return here, nil
	}
	h.parts.HQ.(*fakeHQ).readers = []json.RawMessage{
		[]byte(`{"id":"tmr_1","serial_number":"S1","label":"1","device_type":"stripe_s700","ip_address":"192.168.7.31","status":"online"}`),
		[]byte(`{"id":"tmr_2","serial_number":"S2","label":"2","device_type":"stripe_s700","ip_address":"192.168.7.32","status":"online"}`),
	}
	h.fleet.poll(t.Context())
	h.fleet.probe(t.Context(), true)
	h.fleet.meet(netcheck.Report{Results: []netcheck.Result{{Name: "arp", Evidence: map[string]any{"answers": map[string]any{
		"192.168.7.31": []string{"02:00:00:00:00:31"}, "192.168.7.32": []string{"02:00:00:00:00:99"}, "192.168.7.1": []string{"02:00:00:00:00:01"}}}}}})
	h.fleet.meet(netcheck.Report{})
	got := h.fleet.registry.Snapshot()
	if len(got) != 2 || got[0].MAC != "02:00:00:00:00:31" || got[1].MAC != "" {
		t.Errorf("%+v", got)
	}
}
