package diagnostics

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"storehub/netcheck"
	"storehub/offlinequeue"
	"storehub/readers"
)

// always and never are match functions for tables of a test's own.
func always(*facts) *proof { return &proof{evidence: []string{"it is so"}} }
func never(*facts) *proof  { return nil }

func causes(r Report) []string {
	out := []string{}
	for _, c := range r.Causes {
		out = append(out, c.Code)
	}
	return out
}

func symptoms(r Report) map[string]string {
	out := map[string]string{}
	for _, s := range r.Symptoms {
		out[s.Code] = s.Because
	}
	return out
}

func TestRootsAreFoundThroughChainsGapsAndDiamonds(t *testing.T) {
	tests := []struct {
		name     string
		table    []rule
		causes   []string
		symptoms map[string]string
	}{
		{"chain", []rule{
			{code: "a", severity: Critical, match: always},
			{code: "b", severity: Critical, match: always, dependsOn: []string{"a"}},
			{code: "c", severity: Critical, match: always, dependsOn: []string{"b"}},
		}, []string{"a"}, map[string]string{"b": "a", "c": "a"}},
		{"gap: the link between was not found itself", []rule{
			{code: "a", severity: Critical, match: always},
			{code: "b", severity: Critical, match: never, dependsOn: []string{"a"}},
			{code: "c", severity: Critical, match: always, dependsOn: []string{"b"}},
		}, []string{"a"}, map[string]string{"c": "a"}},
		{"diamond: the principal of two roots is named", []rule{
			{code: "w", severity: Warning, match: always},
			{code: "a", severity: Critical, match: always},
			{code: "x", severity: Critical, match: always, dependsOn: []string{"w"}},
			{code: "y", severity: Critical, match: always, dependsOn: []string{"a"}},
			{code: "z", severity: Critical, match: always, dependsOn: []string{"x", "y"}},
		}, []string{"a", "w"}, map[string]string{"x": "w", "y": "a", "z": "a"}},
		{"independent faults are separate causes", []rule{
			{code: "a", severity: Warning, match: always},
			{code: "b", severity: Critical, match: always},
		}, []string{"b", "a"}, map[string]string{}},
		{"what harms nothing else explains nothing", []rule{
			{code: "a", severity: Warning, match: func(*facts) *proof { return &proof{alone: true, evidence: []string{"it is so"}} }},
			{code: "b", severity: Critical, match: always, dependsOn: []string{"a"}},
		}, []string{"b", "a"}, map[string]string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := judge(Input{}, tt.table, find(Input{}, tt.table))
			if got := causes(r); !slices.Equal(got, tt.causes) {
				t.Errorf("causes %v, want %v", got, tt.causes)
			}
			got := symptoms(r)
			if len(got) != len(tt.symptoms) {
				t.Errorf("symptoms %v, want %v", got, tt.symptoms)
			}
			for code, because := range tt.symptoms {
				if got[code] != because {
					t.Errorf("%s is explained by %q, want %q", code, got[code], because)
				}
			}
		})
	}
}

func TestVerdictFollowsTheGravestCause(t *testing.T) {
	for severity, want := range map[Severity]Verdict{Critical: Blocked, Warning: Degraded, Info: Ready} {
		table := []rule{{code: "a", severity: Info, match: always}, {code: "b", severity: severity, match: always}}
		if got := judge(Input{}, table, find(Input{}, table)).Verdict; got != want {
			t.Errorf("with a %s cause: %s, want %s", severity, got, want)
		}
	}
}

func TestNothingKnownIsNothingWrong(t *testing.T) {
	r := Diagnose(Input{})
	if r.Verdict != Ready || len(r.Causes) != 0 {
		t.Errorf("no facts at all: %s %v", r.Verdict, causes(r))
	}
}

// at is the morning of the shop's own facts.
var at = time.Date(2026, 11, 23, 9, 12, 7, 0, time.UTC)

// reachable is a network that reaches Stripe.
func reachable() *netcheck.Report {
	return &netcheck.Report{Started: at, Took: 1200 * time.Millisecond, Results: []netcheck.Result{
		{Name: "gateway", Status: netcheck.Pass, Detail: "192.168.1.1 is 02:00:00:00:00:01"},
		{Name: "https/api.stripe.com", Status: netcheck.Pass, Evidence: map[string]any{"host": "api.stripe.com", "required": true, "stage": "done"}},
	}}
}

func TestTheHubsOwnStateIsJudged(t *testing.T) {
	pending := map[string]map[offlinequeue.State]int{"capture": {offlinequeue.Pending: 3}}
	tests := []struct {
		name string
		in   Input
		want []string
	}{
		{"disk", Input{Hub: &Hub{DiskFreeBytes: 100 << 20}}, []string{"disk_low"}},
		{"disk not known", Input{Hub: &Hub{DiskFreeBytes: -1}}, nil},
		{"full", Input{Hub: &Hub{DiskFreeBytes: -1, QueueFull: true}}, []string{"queue_full"}},
		{"full because of the disk", Input{Hub: &Hub{DiskFreeBytes: 0, QueueFull: true}}, []string{"disk_low"}},
		{"twin", Input{Hub: &Hub{DiskFreeBytes: -1, SecondHub: "hub-2 at 192.168.1.9"}}, []string{"hub_duplicated"}},
		{"refused", Input{Hub: &Hub{DiskFreeBytes: -1, HQRefused: true}}, []string{"hq_credential_refused"}},
		{"mirror away", Input{Queue: &offlinequeue.Stats{Mirror: offlinequeue.MirrorStats{Path: "/mnt/stick", Away: "no such file or directory"}}}, []string{"queue_mirror_away"}},
		{"damaged", Input{Queue: &offlinequeue.Stats{Damaged: []string{"journal: 3 numbers are missing"}}}, []string{"queue_damaged"}},
		{"fresh work waits", Input{Queue: &offlinequeue.Stats{Operations: pending, OldestPending: at.Add(-time.Minute)}}, nil},
		{"parked", Input{Queue: &offlinequeue.Stats{Operations: pending, OldestPending: at.Add(-time.Minute), ParkedInAll: 1,
			Parked: []offlinequeue.Held{{ID: "op_1", Kind: "capture", Ref: "pi_1", Since: at, Reason: "invalid_field"}}}}, []string{"queue_not_draining"}},
		{"stuck", Input{Queue: &offlinequeue.Stats{Operations: pending, OldestPending: at.Add(-time.Hour)}}, []string{"queue_not_draining"}},
		{"stuck since headquarters is silent", Input{
			Queue: &offlinequeue.Stats{Operations: pending, OldestPending: at.Add(-time.Hour)},
			Hub:   &Hub{DiskFreeBytes: -1, HQFailingSince: at.Add(-2 * time.Hour), HQError: "connection refused"}}, []string{"hq_unreachable"}},
		{"near its deadline", Input{Queue: &offlinequeue.Stats{NextDeadline: at.Add(3 * time.Hour)}}, []string{"captures_near_deadline"}},
		{"deadline far off", Input{Queue: &offlinequeue.Stats{NextDeadline: at.Add(40 * time.Hour)}}, nil},
		{"money's own", Input{Hub: &Hub{DiskFreeBytes: -1, Known: []Known{{Code: "twin_charge", Evidence: []string{"order 17: pi_1 and pi_2"}}}}}, []string{"twin_charge"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.At = at
			if got := causes(Diagnose(tt.in)); !slices.Equal(got, append([]string{}, tt.want...)) {
				t.Errorf("causes %v, want %v", got, tt.want)
			}
		})
	}
}

// Polls that die say something only when the line is sound, they are several, and
// they are not few beside those that end as agreed.
func TestIdleConnectionsThatDieEarly(t *testing.T) {
	cut := func(answered bool, after ...time.Duration) (out []Cut) {
		for _, d := range after {
			out = append(out, Cut{At: at, After: d, Error: "EOF", Answered: answered})
		}
		return out
	}
	const s = time.Second
	tests := []struct {
		name  string
		polls *Polls
		sure  float64 // 0: no finding
	}{
		{"nothing known", nil, 0},
		{"all hold", &Polls{Held: 80}, 0},
		{"a restart at headquarters", &Polls{Held: 78, Cut: cut(true, 12*s, 7*s)}, 0},
		{"now and then", &Polls{Held: 70, Cut: cut(true, 12*s, 7*s, 31*s, 20*s)}, 0},
		{"the line is down", &Polls{Held: 2, Cut: cut(false, 30*s, 30*s, 30*s, 30*s)}, 0},
		{"always at thirty seconds", &Polls{Held: 2, Cut: cut(true, 30*s, 31*s, 30*s)}, 0.85},
		{"at any age", &Polls{Held: 9, Cut: cut(true, 12*s, 7*s, 41*s)}, 0.7},
		{"answers come too late to pass", &Polls{Cut: cut(true, 55*s, 55*s, 55*s)}, 0.85},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Diagnose(Input{At: at, Net: reachable(), Hub: &Hub{DiskFreeBytes: -1, Polls: tt.polls}})
			if found := len(r.Causes) == 1 && r.Causes[0].Code == "sessions_cut"; found != (tt.sure > 0) || found && r.Causes[0].Confidence != tt.sure {
				t.Errorf("causes %+v, want sessions_cut with %v", r.Causes, tt.sure)
			}
		})
	}
}

func TestReadersAreJudgedByStripeAndTheLANTogether(t *testing.T) {
	reader := func(online, lan readers.Tri) []readers.Reader {
		return []readers.Reader{{ID: "tmr_1", Serial: "S1", Label: "Till 1", Online: online, Reachable: lan}}
	}
	tests := []struct {
		name    string
		readers []readers.Reader
		want    []string
	}{
		{"both see it", reader(readers.Yes, readers.Yes), nil},
		{"nobody sees it", reader(readers.No, readers.No), []string{"reader_offline"}},
		{"Stripe does not, nobody asked the LAN", reader(readers.No, readers.Unknown), []string{"reader_offline"}},
		{"the LAN does, Stripe does not", reader(readers.No, readers.Yes), []string{"reader_no_internet"}},
		{"nothing is known", reader(readers.Unknown, readers.Unknown), nil},
		{"Stripe sees it", reader(readers.Yes, readers.No), nil},
		{"only its state came along", []readers.Reader{{ID: "tmr_1", State: "offline"}}, []string{"reader_offline"}},
		{"simulated", []readers.Reader{{ID: "tmr_1", Simulated: true, Online: readers.No}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Diagnose(Input{At: at, Net: reachable(), Readers: tt.readers})
			if got := causes(r); !slices.Equal(got, append([]string{}, tt.want...)) {
				t.Errorf("causes %v, want %v", got, tt.want)
			}
		})
	}
}

func TestPrivateNamesMatterToBrowserTillsOnly(t *testing.T) {
	net := reachable()
	net.Results = append(net.Results, netcheck.Result{Name: "dns/private", Status: netcheck.Fail, Code: "dns_private_filtered",
		Evidence: map[string]any{"name": "10-42-42-42.test", "said": "no address", "want": "10.42.42.42"}})
	for integration, want := range map[string]Severity{"sdk-js": Critical, "sdk-native": Info, "server-driven": Info, "auto": Warning, "": Warning} {
		r := Diagnose(Input{At: at, Net: net, Integration: integration})
		if len(r.Causes) != 1 || r.Causes[0].Severity != want {
			t.Errorf("integration %q: %+v, want one %s cause", integration, r.Causes, want)
		}
	}
}

// anything is a random morning: every probe that exists, with any answer.
func anything(r *rand.Rand) Input {
	in := Input{At: at, Integration: []string{"", "auto", "sdk-js", "server-driven"}[r.IntN(4)]}
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	statuses := []netcheck.Status{netcheck.Pass, netcheck.Warn, netcheck.Fail, netcheck.Skip, netcheck.Unknown}
	names := []string{"link", "dhcp", "ipv4", "route", "arp", "gateway", "dns", "resolver/1", "resolver/2", "dns/api.stripe.com", "dns/gator.stripe.com",
		"dns/private", "https/api.stripe.com", "https/gator.stripe.com", "https/js.stripe.com", "sni/api.stripe.com", "ntp/a", "ntp/b", "portal",
		"public/1.1.1.1", "beyond", "proxy", "mtu", "hijack", "host_firewall", "hops", "path", "rate", "clock", "reader/192.168.1.5", "reader/192.168.1.6", "hq"}
	net := &netcheck.Report{Started: at}
	for _, n := range names {
		if r.IntN(5) == 0 {
			continue
		}
		p := netcheck.Result{Name: n, Status: statuses[r.IntN(len(statuses))], Detail: "detail", Evidence: map[string]any{
			"host": pick("api.stripe.com", "gator.stripe.com"), "stage": pick("", "tcp", "tls", "http", "done"), "problem": pick("", "silent", "reset", "untrusted"),
			"certificate": pick("", "untrusted", "wrong_name", "expired"), "required": r.IntN(2) == 0, "alive": r.IntN(2) == 0, "genuine": r.IntN(2),
			"said": pick("no address", "silent"), "open": []any{"1.1.1.1:443", 7, nil}[:r.IntN(4)], "address": "192.168.1.5"}}
		if p.Status == netcheck.Skip {
			p.Because = "link"
		}
		if r.IntN(2) == 0 {
			p.Code = rules[r.IntN(len(rules))].code
		}
		net.Results = append(net.Results, p)
	}
	if r.IntN(10) > 0 {
		in.Net = net
	}
	if r.IntN(2) == 0 {
		in.Hub = &Hub{DiskFreeBytes: int64(r.IntN(3)) - 1, HQRefused: r.IntN(2) == 0, QueueFull: r.IntN(2) == 0}
		for range r.IntN(3) {
			in.Hub.Known = append(in.Hub.Known, Known{Code: rules[r.IntN(len(rules))].code, Evidence: []string{"known"}})
		}
	}
	if r.IntN(2) == 0 {
		in.Readers = []readers.Reader{{ID: "tmr_1", Online: readers.Tri(r.IntN(3) - 1), Reachable: readers.Tri(r.IntN(3) - 1)}}
	}
	return in
}

func FuzzDiagnoseNamesNoRootThatAnotherExplains(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { sound(t, anything(rand.New(rand.NewPCG(seed, 1)))) })
}

// sound holds a diagnosis to what is true of every one: proof and way out for each
// cause, no root that another explains, every symptom under a root, the gravest
// first, the same answer each time and in whatever order the probes ended, and an
// input that stays as it was.
func sound(t rapid.TB, in Input) {
	var before, after bytes.Buffer
	if err := SaveFacts(&before, in); err != nil {
		t.Fatal(err)
	}
	r := Diagnose(in)
	alone := map[string]bool{}
	for _, x := range find(in, rules) {
		alone[x.code] = x.alone
	}
	roots := map[string]bool{}
	grave := 0
	for _, c := range r.Causes {
		if roots[c.Code] {
			t.Errorf("%s is named twice", c.Code)
		}
		roots[c.Code] = true
		if len(c.Evidence) == 0 || len(c.Remedy) == 0 || c.Confidence <= 0 || c.Confidence > 1 {
			t.Errorf("%s without proof or way out: %+v", c.Code, c)
		}
		if g := severity(c.Severity); g < grave {
			t.Errorf("%s, %s, stands behind something lighter", c.Code, c.Severity)
		} else {
			grave = g
		}
	}
	if want := map[bool]Verdict{true: Blocked}[len(r.Causes) > 0 && r.Causes[0].Severity == Critical]; want != "" && r.Verdict != want {
		t.Errorf("%s with %s", r.Verdict, r.Causes[0].Code)
	}
	above := explainers()
	for _, c := range r.Causes {
		for _, o := range r.Causes {
			if above[c.Code][o.Code] && !alone[o.Code] {
				t.Errorf("both %s and %s are roots, though the second explains the first", c.Code, o.Code)
			}
		}
	}
	for _, s := range r.Symptoms {
		if !roots[s.Because] || roots[s.Code] || !above[s.Code][s.Because] {
			t.Errorf("symptom %s because of %q", s.Code, s.Because)
		}
	}
	if again := Diagnose(in); !reflect.DeepEqual(again, r) {
		t.Errorf("the second time it says %v, not %v", causes(again), causes(r))
	}
	if in.Net != nil {
		turned := *in.Net
		turned.Results = slices.Clone(in.Net.Results)
		slices.Reverse(turned.Results)
		other := in
		other.Net = &turned
		if o := Diagnose(other); o.Verdict != r.Verdict || !slices.Equal(causes(o), causes(r)) {
			t.Errorf("with the probes in another order: %v, not %v", causes(o), causes(r))
		}
	}
	if err := SaveFacts(&after, in); err != nil || !bytes.Equal(before.Bytes(), after.Bytes()) {
		t.Errorf("the input has changed (%v)", err)
	}
	valid(t, r)
}

// TestAnyMixtureOfMornings puts answers of different real mornings together: each
// answer is one that a probe gave, no two need fit.
func TestAnyMixtureOfMornings(t *testing.T) {
	byName := map[string][]netcheck.Result{}
	for _, name := range mornings(t) {
		for _, r := range load(t, name).Net.Results {
			byName[r.Name] = append(byName[r.Name], r)
		}
	}
	names := sorted(byName)
	rapid.Check(t, func(t *rapid.T) {
		in := Input{At: at, Integration: rapid.SampledFrom([]string{"auto", "sdk-js", "sdk-native", "server-driven"}).Draw(t, "integration"), Workday: 12 * time.Hour, Net: &netcheck.Report{Started: at}}
		for _, name := range names {
			if i := rapid.IntRange(-1, len(byName[name])-1).Draw(t, name); i >= 0 {
				in.Net.Results = append(in.Net.Results, byName[name][i])
			}
		}
		if rapid.Bool().Draw(t, "hub") {
			in.Hub = &Hub{DiskFreeBytes: rapid.Int64Range(-1, 1<<30).Draw(t, "free"), HQRefused: rapid.Bool().Draw(t, "refused"),
				Polls: &Polls{Held: rapid.IntRange(0, 9).Draw(t, "held"), Cut: make([]Cut, rapid.IntRange(0, 5).Draw(t, "cut"))}}
			for i := range in.Hub.Polls.Cut {
				in.Hub.Polls.Cut[i] = Cut{At: at, After: time.Duration(rapid.IntRange(5, 55).Draw(t, "age")) * time.Second, Error: "EOF", Answered: rapid.Bool().Draw(t, "answered")}
			}
			if rapid.Bool().Draw(t, "silent") {
				in.Hub.HQFailingSince = at.Add(-time.Minute)
			}
		}
		if rapid.Bool().Draw(t, "queue") {
			in.Queue = &offlinequeue.Stats{OldestPending: at.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "pending")) * time.Minute)}
		}
		sound(t, in)
	})
}

// What the checks' own questions lose on a line that carries little, evenly, is no
// fault of its own; a line that loses packets looks narrow too, and unevenly so.
func TestALineThatIsNarrowIsNotLossy(t *testing.T) {
	line := func(even bool) Input {
		n := reachable()
		n.Results = append(n.Results,
			netcheck.Result{Name: "https/gator.stripe.com", Status: netcheck.Fail, Detail: "gator.stripe.com is silent",
				Evidence: map[string]any{"host": "gator.stripe.com", "required": true, "stage": "tls", "problem": "silent"}},
			netcheck.Result{Name: "path", Status: netcheck.Warn, Code: "wan_lossy", Detail: "7 of 20 connections lost a packet"},
			netcheck.Result{Name: "rate", Status: netcheck.Warn, Code: "wan_slow", Detail: "about 381 kbit/s", Evidence: map[string]any{"even": even}})
		return Input{At: at, Net: n}
	}
	for even, want := range map[bool]string{true: "wan_slow", false: "wan_lossy"} {
		if got := causes(Diagnose(line(even))); !slices.Equal(got, []string{want}) {
			t.Errorf("even %v: causes %v, want %s", even, got, want)
		}
	}
}

// Nobody promised that a name below Stripe's wildcard resolves: it is missed only
// where a public resolver knows it.
func TestTheSampleOfAWildcardNeedsAWitness(t *testing.T) {
	const host = "hub.terminal-events.stripe.com"
	shop := func(more ...netcheck.Result) Input {
		n := reachable()
		n.Results = append(n.Results, more...)
		return Input{At: at, Net: n}
	}
	resolved := netcheck.Result{Name: "dns/api.stripe.com", Status: netcheck.Pass, Evidence: map[string]any{"host": "api.stripe.com", "said": "198.137.150.1"}}
	public := func(said string) netcheck.Result {
		return netcheck.Result{Name: "public/1.1.1.1", Status: netcheck.Pass, Evidence: map[string]any{"resolver": "1.1.1.1", "said": map[string]any{host: said}}}
	}
	hidden := netcheck.Result{Name: "dns/" + host, Status: netcheck.Unknown, Evidence: map[string]any{"host": host, "sample": true, "said": "NXDOMAIN"}}
	silent := netcheck.Result{Name: "https/" + host, Status: netcheck.Fail, Detail: "silent",
		Evidence: map[string]any{"host": host, "required": true, "sample": true, "stage": "tcp", "problem": "silent"}}
	cut := netcheck.Result{Name: "https/" + host, Status: netcheck.Fail, Detail: "reset",
		Evidence: map[string]any{"host": host, "required": true, "sample": true, "stage": "tls", "problem": "reset"}}
	cutElsewhere := netcheck.Result{Name: "sni/" + host, Status: netcheck.Fail}
	cutHere := netcheck.Result{Name: "sni/" + host, Status: netcheck.Warn, Evidence: map[string]any{"other_name_here": "reset"}}
	tests := []struct {
		name string
		in   Input
		want []string
	}{
		{"known to nobody", shop(resolved, hidden, public("NXDOMAIN")), nil},
		{"nobody else was asked", shop(resolved, hidden), nil},
		{"known elsewhere", shop(resolved, hidden, public("198.137.150.9")), []string{"dns_blocks_stripe"}},
		{"known elsewhere as a lie", shop(resolved, hidden, public("0.0.0.0")), nil},
		{"silent where only the shop's DNS leads", shop(silent, public("NXDOMAIN")), nil},
		{"silent", shop(silent, public("198.137.150.9")), []string{"firewall_blocks_stripe"}},
		{"cut off by its owner", shop(cut, cutHere), nil},
		{"cut off by name", shop(cut, cutElsewhere), []string{"firewall_blocks_stripe"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := causes(Diagnose(tt.in)); !slices.Equal(got, append([]string{}, tt.want...)) {
				t.Errorf("causes %v, want %v", got, tt.want)
			}
		})
	}
}

// Silence about a reader's name is a filter's where nothing else is lost.
func TestSilenceAboutAReadersNameIsAFiltersWhereNothingElseIsLost(t *testing.T) {
	shop := func(resolver netcheck.Result) Input {
		n := reachable()
		resolver.Name = "resolver/1"
		n.Results = append(n.Results, resolver,
			netcheck.Result{Name: "dns/api.stripe.com", Status: netcheck.Pass, Evidence: map[string]any{"host": "api.stripe.com", "said": "198.137.150.1"}},
			netcheck.Result{Name: "dns/private", Status: netcheck.Fail, Code: "dns_private_filtered", Evidence: map[string]any{"name": "10-42-42-42.test", "said": "silent", "want": "10.42.42.42"}})
		return Input{At: at, Net: n, Integration: "sdk-js"}
	}
	sound := netcheck.Result{Status: netcheck.Pass, Evidence: map[string]any{"resolver": "192.168.1.1", "lost": 0}}
	losing := netcheck.Result{Status: netcheck.Pass, Evidence: map[string]any{"resolver": "192.168.1.1", "lost": 3}}
	slow := netcheck.Result{Status: netcheck.Warn, Code: "dns_slow", Detail: "slow", Evidence: map[string]any{"resolver": "192.168.1.1", "lost": 0}}
	for _, tt := range []struct {
		name     string
		resolver netcheck.Result
		want     []string
	}{{"sound", sound, []string{"dns_private_filtered"}}, {"losing", losing, []string{}}, {"slow", slow, []string{"dns_slow"}}} {
		if got := causes(Diagnose(shop(tt.resolver))); !slices.Equal(got, tt.want) {
			t.Errorf("%s: causes %v, want %v", tt.name, got, tt.want)
		}
	}
}

// The advice names the address and the hardware address to reserve it for.
func TestAReaderThatMovedGetsItsReservationNamed(t *testing.T) {
	moved := readers.Reader{Serial: "S1", ID: "tmr_1", Label: "Lane 1", Addr: netip.MustParseAddr("192.168.1.21"), PreviousAddr: netip.MustParseAddr("192.168.1.20"),
		AddressChangedAt: at.Add(-time.Hour), AddressChanges: 1, MAC: "02:00:00:00:00:31", Online: readers.Yes}
	r := Diagnose(Input{At: at, Net: reachable(), Readers: []readers.Reader{moved}})
	if len(r.Causes) != 1 || r.Causes[0].Code != "reader_moved" {
		t.Fatalf("causes %v", causes(r))
	}
	if want := "In the router's DHCP, reserve 192.168.1.21 for 02:00:00:00:00:31 (Lane 1)."; !slices.Contains(r.Causes[0].Remedy, want) {
		t.Errorf("remedies %q, want %q", r.Causes[0].Remedy, want)
	}
	moved.MAC = ""
	for _, line := range Diagnose(Input{At: at, Net: reachable(), Readers: []readers.Reader{moved}}).Causes[0].Remedy {
		if strings.Contains(line, "192.168.1.21") {
			t.Errorf("a reservation for nobody: %q", line)
		}
	}
}
