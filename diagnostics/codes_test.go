package diagnostics

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"storehub/netcheck"
	"storehub/offlinequeue"
	"storehub/readers"
)

// ownMornings are the facts of codes that no network of namespaces can have: the
// hub's own state, Stripe's word on a reader, a radio.
func ownMornings() map[string]Input {
	radio := func(code, detail string) Input {
		net := reachable()
		net.Results = append(net.Results, netcheck.Result{Name: "wifi", Status: netcheck.Fail, Code: code, Detail: detail})
		return Input{Net: net}
	}
	known := func(code, line string) Input {
		return Input{Hub: &Hub{DiskFreeBytes: -1, Known: []Known{{Code: code, Evidence: []string{line}, Targets: []string{"pi_1"}}}}}
	}
	pending := map[string]map[offlinequeue.State]int{"capture": {offlinequeue.Pending: 3}}
	out := map[string]Input{
		"wifi_open":                 radio("wifi_open", "wlan0 is on a Wi-Fi that announces neither WPA2 nor WPA3"),
		"wifi_security_unsupported": radio("wifi_security_unsupported", "wlan0 is on a Wi-Fi that offers enterprise-192 alone"),
		"wifi_weak":                 radio("wifi_weak", "wlan0 hears its access point at -82 dBm"),
		"reader_no_internet":        {Net: reachable(), Readers: []readers.Reader{{ID: "tmr_1", Label: "Till 1", Online: readers.No, Reachable: readers.Yes}}},
		"hq_credential_refused":     {Hub: &Hub{DiskFreeBytes: -1, HQRefused: true}},
		"hub_duplicated":            {Hub: &Hub{DiskFreeBytes: -1, SecondHub: "hub-2 at 192.168.1.9"}},
		"queue_full":                {Hub: &Hub{DiskFreeBytes: -1, QueueFull: true}},
		"disk_low":                  {Hub: &Hub{DiskFreeBytes: 100 << 20}},
		"queue_damaged":             {Queue: &offlinequeue.Stats{Damaged: []string{"journal: 3 numbers are missing"}}},
		"queue_mirror_away":         {Queue: &offlinequeue.Stats{Mirror: offlinequeue.MirrorStats{Path: "/media/second", Away: "no such device", Since: at.Add(-time.Minute)}}},
		"queue_not_draining":        {Queue: &offlinequeue.Stats{Operations: pending, OldestPending: at.Add(-time.Hour)}},
		"captures_near_deadline":    {Queue: &offlinequeue.Stats{NextDeadline: at.Add(3 * time.Hour)}},
	}
	for code, line := range map[string]string{
		"account_mode_mismatch": "till 2 sends test payments to a live store", "location_mismatch": "tmr_1 is registered at tml_2", "twin_charge": "order 17: pi_1 and pi_2",
		"authorisation_lapsed": "pi_1 lapsed on 21 November", "operation_failed": "capture of pi_1: amount_too_large", "operation_unknown": "refund of pi_1: no answer yet",
		"refund_failed": "re_1: the card's bank refused", "offline_not_forwarded": "2 payments on tmr_1 since 08:00 UTC", "hub_name_needs_internet": "hub.shop.example resolves by the provider alone",
		"token_reused": "Lane 1 connected to a reader 3 times without asking for a token in between", "token_not_asked": "Lane 1 connected to a reader 3 times without asking for a token in between",
		"token_polling": "Lane 1 asks for a token every 1m0s, whether it connects or not", "token_wrong_location": "Lane 1 asks for Location \"tml_2\"; the store's is tml_1",
		"till_mode_mixed": "Lane 1 was refused for it", "credential_shared": "Lane 1 calls from 192.168.1.7 and 192.168.1.8 in turn",
		"disk_read_only":      "the file system of /var/lib/storehub is mounted read-only",
		"hub_restarting":      "4 starts in an hour that no stop came before, the last at 09:11:50 UTC",
		"clock_jumped":        "it was set forward by 3h2m0s, to 2026-11-24 09:12:00 UTC",
		"hub_certificate_due": "the one before holds until 2026-12-24 08:00 UTC",
	} {
		out[code] = known(code, line)
	}
	out["browser_lan_denied"] = Input{Hub: &Hub{DiskFreeBytes: -1, Vantages: []Vantage{{At: at.Add(-time.Minute), Addr: netip.MustParseAddr("192.168.1.77"), Near: readers.Yes, Opened: true,
		HubMS: 12, Permission: PermissionDenied, Readers: []VantageReader{{netip.MustParseAddr("192.168.1.11"), SightBlocked, 1}}}}}}
	for code, in := range out {
		in.At, in.Store, in.Version, in.Integration = at, "0412", "1.0.0", "sdk-js"
		out[code] = in
	}
	return out
}

// labMornings are the facts that the lab has recorded, by the principal code.
func labMornings(t *testing.T) map[string]Input {
	t.Helper()
	z, err := zip.OpenReader("../internal/lab/testdata/recorded.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var rows []struct{ Name string }
	f, err := z.Open("rows.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(f).Decode(&rows); err != nil {
		t.Fatal(err)
	}
	f.Close()
	out := map[string]Input{}
	for _, r := range rows {
		f, err := z.Open(r.Name + ".facts.json")
		if err != nil {
			t.Fatal(err)
		}
		in, err := LoadFacts(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range Diagnose(in).Causes {
			if _, have := out[c.Code]; !have {
				out[c.Code] = in
			}
		}
	}
	return out
}

// TestEveryCodeIsWhole: each code of the contract has a rule that can be found by
// facts at hand (a morning, the lab's, or of the hub's own), its report reads as
// its golden file does, and a heading explains it with proof, way out and trap.
func TestEveryCodeIsWhole(t *testing.T) {
	doc, err := os.ReadFile("../docs/findings.md")
	if err != nil {
		t.Fatal(err)
	}
	lab, own := labMornings(t), ownMornings()
	for _, code := range contract {
		t.Run(code, func(t *testing.T) {
			i := slices.IndexFunc(rules, func(r rule) bool { return r.code == code })
			if i < 0 || rules[i].match == nil {
				t.Fatal("it has no rule")
			}
			in, ok := own[code]
			if !ok {
				if in, ok = lab[code]; !ok {
					t.Fatal("no recorded facts lead to it: give the lab a row, or facts of its own")
				}
			}
			r := Diagnose(in)
			valid(t, r)
			j := slices.IndexFunc(r.Causes, func(c Cause) bool { return c.Code == code })
			if j < 0 {
				t.Fatalf("its facts lead to %v", causes(r))
			}
			r.Causes, r.Symptoms, r.Probes = r.Causes[j:j+1], nil, nil
			var text bytes.Buffer
			if err := WriteText(&text, r, TextOptions{Width: 100}); err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("codes", code+".txt"), text.Bytes())
			_, section, found := strings.Cut(string(doc), "\n### "+code+"\n")
			section, _, _ = strings.Cut(section, "\n#")
			for _, part := range []string{"\n- Proved: ", "\n- Fix: ", "\n- Fools people: "} {
				if !found || !strings.Contains(section, part) {
					t.Errorf("docs/findings.md does not tell its %q", strings.Trim(part, "\n-: "))
				}
			}
			if regexp.MustCompile(`not yet proved|TODO`).MatchString(section) {
				t.Error("docs/findings.md calls it unproved")
			}
		})
	}
	files, err := os.ReadDir("testdata/codes")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.Contains(contract, strings.TrimSuffix(f.Name(), ".txt")) {
			t.Errorf("testdata/codes/%s is of no code", f.Name())
		}
	}
}
