package readers

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// noon is when every test begins.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// told is a line of Stripe's list about the reader S1.
func told(seconds int, online Tri, address string) Observation {
	o := Observation{Source: FromStripe, Serial: "S1", ID: "tmr_1", Label: "Lane 1", DeviceType: "stripe_s700", Online: online, At: at(seconds)}
	if address != "" {
		o.Addr = addr(address)
	}
	return o
}

// probed is a probe of the reader S1.
func probed(seconds int, answered Tri, address string) Observation {
	return Observation{Source: FromProbe, Serial: "S1", Addr: addr(address), Reachable: answered, RTT: 3 * time.Millisecond, At: at(seconds)}
}

// recorder is a registry that remembers what it told.
func recorder() (*Registry, *[]string) {
	var heard []string
	r := &Registry{OnChange: func(r Reader, what string) { heard = append(heard, r.Serial+" "+what) }}
	return r, &heard
}

// only is the one reader there is.
func only(t *testing.T, r *Registry) Reader {
	t.Helper()
	list := r.Snapshot()
	if len(list) != 1 {
		t.Fatalf("%d readers, want 1: %+v", len(list), list)
	}
	return list[0]
}

func TestStateSaysWhatTheEvidenceSays(t *testing.T) {
	const a = "192.168.1.20"
	for name, c := range map[string]struct {
		seen   []Observation
		state  State
		reason string
	}{
		"Stripe alone, online":      {[]Observation{told(0, Yes, a)}, StateOnline, "Stripe says online"},
		"Stripe alone, offline":     {[]Observation{told(0, No, a)}, StateOffline, "Stripe says offline"},
		"Stripe does not say":       {[]Observation{told(0, Unknown, a)}, StateUnknown, "Stripe's word is not known"},
		"both agree on yes":         {[]Observation{told(0, Yes, a), probed(1, Yes, a)}, StateOnline, "Stripe says online, and it answers at 192.168.1.20"},
		"both agree on no":          {[]Observation{told(0, No, a), probed(1, No, a)}, StateOffline, "Stripe says offline, and nothing answers at 192.168.1.20"},
		"cut off from the LAN":      {[]Observation{told(0, Yes, a), probed(1, No, a)}, StateUnreachable, "Stripe says online, but nothing answers at 192.168.1.20"},
		"cut off from Stripe":       {[]Observation{told(0, No, a), probed(1, Yes, a)}, StateOffline, "Stripe says offline, yet it answers at 192.168.1.20"},
		"LAN alone, no answer":      {[]Observation{told(0, Unknown, a), probed(1, No, a)}, StateUnreachable, "nothing answers at 192.168.1.20, and Stripe's word is not known"},
		"LAN alone, answer":         {[]Observation{told(0, Unknown, a), probed(1, Yes, a)}, StateUnknown, "it answers at 192.168.1.20, but Stripe's word is not known"},
		"one lost probe is no news": {[]Observation{told(0, Yes, a), probed(1, Yes, a), probed(2, No, a)}, StateOnline, "Stripe says online, and it answers at 192.168.1.20"},
		"two lost probes are":       {[]Observation{told(0, Yes, a), probed(1, Yes, a), probed(2, No, a), probed(3, No, a)}, StateUnreachable, "Stripe says online, but nothing answers at 192.168.1.20"},
		"an overtaken word":         {[]Observation{told(9, Yes, a), told(3, No, a)}, StateOnline, "Stripe says online"},
		"an overtaken probe":        {[]Observation{told(0, Yes, a), probed(9, Yes, a), probed(3, No, a), probed(4, No, a)}, StateOnline, "Stripe says online, and it answers at 192.168.1.20"},
		"probe of an old address":   {[]Observation{told(0, Yes, a), probed(1, No, "192.168.1.9")}, StateOnline, "Stripe says online"},
		"probe without an answer":   {[]Observation{told(0, Yes, a), probed(1, Unknown, a)}, StateOnline, "Stripe says online"},
		"moved after the probe":     {[]Observation{told(0, Yes, a), probed(1, No, a), told(2, Yes, "192.168.1.21")}, StateOnline, "Stripe says online"},
		"simulated by address":      {[]Observation{told(0, Yes, "0.0.0.0"), probed(1, No, "0.0.0.0")}, StateOnline, "Stripe says online"},
		"simulated by type": {[]Observation{
			{Source: FromStripe, Serial: "S1", DeviceType: "simulated_stripe_s700", Addr: addr(a), Online: Yes, At: at(0)}, probed(1, No, a),
		}, StateOnline, "Stripe says online"},
		"mobile": {[]Observation{
			{Source: FromStripe, Serial: "S1", DeviceType: "stripe_m2", Online: No, At: at(0)},
		}, StateUnknown, "mobile readers report no status of their own, and no till says that it is connected"},
	} {
		t.Run(name, func(t *testing.T) {
			var r Registry
			for _, o := range c.seen {
				r.Observe(o)
			}
			got := only(t, &r)
			if got.State != c.state || got.Reason != c.reason {
				t.Errorf("got %s (%s), want %s (%s)", got.State, got.Reason, c.state, c.reason)
			}
		})
	}
}

func TestSightingsAreJoinedToOneReader(t *testing.T) {
	full := Observation{Source: FromStripe, Serial: "S1", ID: "tmr_1", Addr: addr("10.0.0.5"), At: at(1)}
	for name, c := range map[string]struct {
		seen []Observation
		want int
	}{
		"by serial":                    {[]Observation{full, {Source: FromTill, Serial: "S1", At: at(2)}}, 1},
		"by id":                        {[]Observation{full, {Source: FromTill, ID: "tmr_1", At: at(2)}}, 1},
		"by address":                   {[]Observation{full, {Source: FromNeighbour, Addr: addr("10.0.0.5"), MAC: "aa:bb:cc:dd:ee:ff", At: at(2)}}, 1},
		"by address written as IPv6":   {[]Observation{full, {Source: FromNeighbour, Addr: addr("::ffff:10.0.0.5"), At: at(2)}}, 1},
		"id first, serial later":       {[]Observation{{Source: FromTill, ID: "tmr_1", At: at(0)}, full}, 1},
		"serial and id met apart":      {[]Observation{{Source: FromTill, ID: "tmr_1", At: at(0)}, {Source: FromTill, Serial: "S1", At: at(0)}, full}, 1},
		"two serials":                  {[]Observation{full, {Source: FromStripe, Serial: "S2", ID: "tmr_2", At: at(2)}}, 2},
		"another serial, same address": {[]Observation{full, {Source: FromStripe, Serial: "S2", Addr: addr("10.0.0.5"), At: at(2)}}, 2},
		"a stranger's address":         {[]Observation{full, {Source: FromNeighbour, Addr: addr("10.0.0.77"), At: at(2)}}, 1},
		"nothing but 0.0.0.0":          {[]Observation{{Source: FromStripe, Serial: "S1", Addr: addr("0.0.0.0"), At: at(1)}, {Source: FromNeighbour, Addr: addr("0.0.0.0"), At: at(2)}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var r Registry
			for _, o := range c.seen {
				r.Observe(o)
			}
			if got := r.Snapshot(); len(got) != c.want {
				t.Errorf("%d readers, want %d: %+v", len(got), c.want, got)
			}
		})
	}
}

func TestAddressBelongsToItsNewestHolder(t *testing.T) {
	var r Registry
	r.Observe(Observation{Source: FromStripe, Serial: "OLD", Label: "a", Addr: addr("10.0.0.5"), At: at(0)})
	r.Observe(Observation{Source: FromStripe, Serial: "NEW", Label: "b", Addr: addr("10.0.0.5"), At: at(60)})
	r.Observe(Observation{Source: FromNeighbour, Addr: addr("10.0.0.5"), MAC: "aa:bb:cc:dd:ee:ff", At: at(61)})
	list := r.Snapshot()
	if list[0].MAC != "" || list[1].MAC == "" {
		t.Errorf("the neighbour was joined to %+v", list)
	}
}

func TestMovingIsNoticedAndCounted(t *testing.T) {
	r, heard := recorder()
	for _, o := range []Observation{
		told(0, Yes, ""),          // no address yet
		told(15, Yes, "0.0.0.0"),  // nor now
		told(30, Yes, "10.0.0.5"), // the first
		told(45, Yes, "10.0.0.5"), // the same
		told(60, Yes, "10.0.0.6"), // moved
		told(50, Yes, "10.0.0.5"), // overtaken: not back again
		told(75, Yes, ""),         // Stripe forgot to say
		{Source: FromTill, Serial: "S1", Addr: addr("10.0.0.9"), At: at(80)}, // Stripe goes first
	} {
		r.Observe(o)
	}
	got := only(t, r)
	if got.Addr != addr("10.0.0.6") || got.PreviousAddr != addr("10.0.0.5") || got.AddressChanges != 1 || !got.AddressChangedAt.Equal(at(60)) {
		t.Errorf("got %+v", got)
	}
	if want := []string{"S1 new", "S1 moved"}; !slices.Equal(*heard, want) {
		t.Errorf("heard %q, want %q", *heard, want)
	}

	// Long after Stripe's last word a till's sighting counts.
	r.Observe(Observation{Source: FromTill, Serial: "S1", Addr: addr("10.0.0.9"), At: at(75).Add(staleStripe + time.Second)})
	if got := only(t, r); got.Addr != addr("10.0.0.9") || got.AddressChanges != 2 {
		t.Errorf("a till's sighting was not taken: %+v", got)
	}
}

func TestReplaceForgetsWhatStripeForgot(t *testing.T) {
	r, heard := recorder()
	r.Observe(Observation{Source: FromTill, Serial: "TILL", At: at(0)})
	r.Replace(at(1), []Observation{{Serial: "S1", Online: Yes}, {Serial: "S2", Online: Yes}})
	r.Replace(at(3), []Observation{{Serial: "S2", Online: Yes}})
	r.Replace(at(2), []Observation{{Serial: "S1", Online: Yes}}) // overtaken
	var serials []string
	for _, x := range r.Snapshot() {
		serials = append(serials, x.Serial)
	}
	if want := []string{"S2", "TILL"}; !slices.Equal(serials, want) {
		t.Errorf("kept %q, want %q", serials, want)
	}
	if want := []string{"TILL new", "S1 new", "S2 new", "S1 gone"}; !slices.Equal(*heard, want) {
		t.Errorf("heard %q, want %q", *heard, want)
	}
}

func TestTimeAloneTurnsKnownIntoUnknown(t *testing.T) {
	r, heard := recorder()
	r.Observe(told(0, Yes, "10.0.0.5"))
	r.Observe(probed(0, Yes, "10.0.0.5"))
	r.Sweep(at(0).Add(staleStripe))
	if got := only(t, r); got.Online != Yes || got.Reachable != Yes || got.RTT == 0 {
		t.Errorf("swept too early: %+v", got)
	}
	r.Sweep(at(1).Add(staleStripe))
	if got := only(t, r); got.Online != Unknown || got.Reachable != Unknown || got.RTT != 0 || got.State != StateUnknown {
		t.Errorf("not swept: %+v", got)
	}
	r.Sweep(at(0).Add(forgetAfter * 2))
	only(t, r) // what Stripe told of is not forgotten by time
	r.Observe(told(300, No, "10.0.0.5"))
	if want := []string{"S1 new", "S1 reachable", "S1 unknown", "S1 offline"}; !slices.Equal(*heard, want) {
		t.Errorf("heard %q, want %q", *heard, want)
	}
}

func TestReaderNobodyListsIsForgottenAfterADay(t *testing.T) {
	r, heard := recorder()
	r.Observe(Observation{Source: FromTill, Serial: "TILL", At: at(0)})
	r.Sweep(at(0).Add(forgetAfter))
	only(t, r)
	r.Sweep(at(1).Add(forgetAfter))
	if list := r.Snapshot(); len(list) != 0 {
		t.Errorf("still there: %+v", list)
	}
	if want := []string{"TILL new", "TILL gone"}; !slices.Equal(*heard, want) {
		t.Errorf("heard %q, want %q", *heard, want)
	}
}

func TestOnChangeComesAfterBookkeeping(t *testing.T) {
	r := &Registry{}
	var seen []State
	r.OnChange = func(told Reader, _ string) {
		if got := r.Snapshot(); len(got) != 1 || got[0] != told {
			t.Errorf("told %+v, but the books say %+v", told, got)
		}
		seen = append(seen, told.State)
	}
	r.Observe(told(0, Yes, "10.0.0.5"))
	r.Observe(told(1, No, "10.0.0.5"))
	if want := []State{StateOnline, StateOffline}; !slices.Equal(seen, want) {
		t.Errorf("told of %q, want %q", seen, want)
	}
}

func TestSnapshotIsOrderedByLabelThenSerial(t *testing.T) {
	var r Registry
	for _, o := range []Observation{{Serial: "C", Label: "Lane 2"}, {Serial: "B", Label: "Lane 1"}, {Serial: "A", Label: "Lane 2"}} {
		o.Source, o.At = FromStripe, at(0)
		r.Observe(o)
	}
	var got []string
	for _, x := range r.Snapshot() {
		got = append(got, x.Serial)
	}
	if want := []string{"B", "A", "C"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJSONOfReadersIsTheAPIsLine(t *testing.T) {
	var r Registry
	r.Observe(Observation{Source: FromStripe, Serial: "S0", Label: "Back office", At: at(0)})
	o := told(0, Yes, "192.168.1.20")
	o.Software, o.LastSeen = "2.37.2.0", at(-3)
	r.Observe(o)
	r.Observe(told(60, Yes, "192.168.1.21"))
	r.Observe(Observation{Source: FromNeighbour, Addr: addr("192.168.1.21"), MAC: "aa:bb:cc:dd:ee:ff", At: at(61)})
	r.Observe(probed(62, No, "192.168.1.21"))
	got, err := json.MarshalIndent(r.Snapshot(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "readers.golden.json")
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var back []Reader
	if err := json.Unmarshal(got, &back); err != nil || !slices.Equal(back, r.Snapshot()) {
		t.Errorf("read back %+v, %v", back, err)
	}
}

func TestTriInJSON(t *testing.T) {
	for tri, want := range map[Tri]string{Yes: "true", No: "false", Unknown: "null"} {
		b, err := json.Marshal(tri)
		if err != nil || string(b) != want {
			t.Errorf("%v gives %s, %v; want %s", tri, b, err, want)
		}
		back := Yes
		if err := json.Unmarshal(b, &back); err != nil || back != tri {
			t.Errorf("%s gives %v, %v; want %v", b, back, err, tri)
		}
	}
	var tri Tri
	if err := json.Unmarshal([]byte(`"yes"`), &tri); err == nil {
		t.Error("a string was taken for an answer")
	}
}

func TestManyMouthsAtOnce(t *testing.T) {
	var mu sync.Mutex
	heard := 0
	r := &Registry{OnChange: func(Reader, string) { mu.Lock(); heard++; mu.Unlock() }}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				switch g {
				case 0:
					r.Replace(at(i), []Observation{told(i, Of(i%2 == 0), "10.0.0.5")})
				case 1:
					r.Observe(probed(i, Of(i%3 == 0), "10.0.0.5"))
				case 2:
					r.Sweep(at(i))
				default:
					r.Snapshot()
				}
			}
		})
	}
	wg.Wait()
	if only(t, r).Serial != "S1" || heard == 0 {
		t.Errorf("%d changes heard; %+v", heard, r.Snapshot())
	}
}

// TestWhyNamesTheCause: each cause that the issue of a reader can have, from the
// sightings that show it.
func TestWhyNamesTheCause(t *testing.T) {
	const a = "192.168.1.20"
	lan := func(seconds int, answered Tri, near Tri, refused bool) Observation {
		o := probed(seconds, answered, a)
		o.Near, o.Refused = near, refused
		return o
	}
	busy := func(seconds int, busy Tri) Observation {
		o := told(seconds, Yes, a)
		o.Busy = busy
		return o
	}
	for name, c := range map[string]struct {
		seen  []Observation
		state State
		why   Why
	}{
		"works":                         {[]Observation{told(0, Yes, a), lan(1, Yes, Yes, false)}, StateOnline, ""},
		"powered off":                   {[]Observation{told(0, No, a), lan(1, No, Yes, false)}, StateOffline, WhyPoweredOff},
		"without internet":              {[]Observation{told(0, No, a), lan(1, Yes, Yes, false)}, StateOffline, WhyNoInternet},
		"in another network":            {[]Observation{told(0, Yes, a), lan(1, No, No, false)}, StateUnreachable, WhyOtherSubnet},
		"offline in another network":    {[]Observation{told(0, No, a), lan(1, No, No, false)}, StateOffline, WhyOtherSubnet},
		"reached in another network":    {[]Observation{told(0, Yes, a), lan(1, Yes, No, false)}, StateOnline, ""},
		"its port is closed":            {[]Observation{told(0, Yes, a), lan(1, No, Yes, true)}, StateUnreachable, WhyPortClosed},
		"closed, and offline at Stripe": {[]Observation{told(0, No, a), lan(1, No, Yes, true)}, StateOffline, WhyPortClosed},
		"silent here alone":             {[]Observation{told(0, Yes, a), lan(1, No, Yes, false)}, StateUnreachable, WhySilentHere},
		"Stripe's word alone":           {[]Observation{told(0, No, a)}, StateOffline, WhyStripeOffline},
		"waits for a customer":          {[]Observation{busy(0, Yes), busy(9, Yes)}, StateOnline, WhyBusy},
		"waits no longer":               {[]Observation{busy(0, Yes), busy(9, No)}, StateOnline, ""},
		"closed and then silent":        {[]Observation{told(0, No, a), lan(1, No, Yes, true), lan(2, No, Yes, false)}, StateOffline, WhyPoweredOff},
		"moved after a closed port":     {[]Observation{told(0, Yes, a), lan(1, No, Yes, true), told(2, Yes, "192.168.1.21")}, StateOnline, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := recorder()
			for _, o := range c.seen {
				r.Observe(o)
			}
			if got := only(t, r); got.State != c.state || got.Why != c.why {
				t.Errorf("%s, %q (%s); want %s, %q", got.State, got.Why, got.Reason, c.state, c.why)
			}
		})
	}
	r, heard := recorder()
	for _, o := range []Observation{busy(0, Yes), busy(9, Yes), busy(20, No)} {
		r.Observe(o)
	}
	if want := []string{"S1 new", "S1 idle"}; !slices.Equal(*heard, want) {
		t.Errorf("told %v, want %v", *heard, want)
	}
	r, _ = recorder()
	r.Observe(busy(0, Yes))
	r.Observe(busy(9, Yes))
	if got := only(t, r).BusySince; !got.Equal(at(0)) {
		t.Errorf("busy since %v, not since it was first told", got)
	}
	r.Sweep(at(500))
	if got := only(t, r); !got.BusySince.IsZero() || got.Why != "" {
		t.Errorf("still %q since %v by a word that is stale", got.Why, got.BusySince)
	}
}

// A till's word fades; another till cannot let go of what this one holds.
func TestATillsWordFades(t *testing.T) {
	var r Registry
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	half := 0.5
	tell := func(at time.Time, report Report) Reader {
		r.Observe(Observation{Source: FromTill, Serial: "CHB1", DeviceType: "stripe_m2", At: at, Report: &report})
		return r.Snapshot()[0]
	}
	tell(at, Report{Till: "a", Connected: Yes, Battery: &half, Update: &half})
	if got := tell(at.Add(time.Minute), Report{Till: "b", Connected: No}); got.HeldBy != "a" || got.Why != WhyUpdating {
		t.Errorf("b let go of what a holds: %+v", got)
	}
	r.Sweep(at.Add(14 * time.Minute))
	if got := r.Snapshot()[0]; got.HeldBy != "a" || got.Battery == nil {
		t.Errorf("after 14 minutes: %+v", got)
	}
	r.Sweep(at.Add(16 * time.Minute))
	if got := r.Snapshot()[0]; got.HeldBy != "" || got.Battery != nil || got.Updating != nil || got.State != StateUnknown {
		t.Errorf("after 16 minutes: %+v", got)
	}
}
