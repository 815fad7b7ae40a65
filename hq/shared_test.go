package hq_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"storehub/hq"
)

// seen is a store in a table: what its hub reported.
type seen struct {
	verdict, resolver, network, software, version string
	causes                                        map[string]time.Duration // code and how long after nine it began
}

var nine = time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)

func (s seen) view(id string) hq.StoreView {
	v := hq.StoreView{StoreRecord: hq.StoreRecord{Store: hq.Store{ID: id}}, Verdict: s.verdict, Network: s.network, Report: &hq.Report{Version: s.version}}
	if v.Verdict == "" {
		v.Verdict = "degraded"
	}
	if v.Verdict == hq.VerdictUnknown {
		v.Report = nil
		return v
	}
	for _, code := range slices.Sorted(maps.Keys(s.causes)) {
		severity := "warning"
		if strings.HasSuffix(code, "_down") {
			severity = "critical"
		} else if strings.HasPrefix(code, "double_") {
			severity = "info"
		}
		v.Report.Causes = append(v.Report.Causes, hq.ReportCause{Code: code, Severity: severity, Title: "It is " + code, Since: nine.Add(s.causes[code])})
	}
	if s.resolver != "" {
		v.Report.Resolvers = []string{s.resolver}
	}
	if s.software != "" {
		v.Report.Software = []string{s.software}
	}
	return v
}

func repeat(n int, s seen) []seen { return slices.Repeat([]seen{s}, n) }

func TestSharedFaults(t *testing.T) {
	at := func(code string, d time.Duration) map[string]time.Duration { return map[string]time.Duration{code: d} }
	well := seen{verdict: "ready", resolver: "1.1.1.1", network: "192.0.2.0/24", software: "2.45", version: "1.4"}
	with := func(change func(*seen)) seen { s := well; s.verdict = "degraded"; change(&s); return s }
	dns := with(func(s *seen) { s.resolver, s.causes = "9.9.9.9", at("dns_slow", 0) })
	for _, c := range []struct {
		name    string
		stores  []seen
		atLeast int
		want    []string
	}{
		{"all is well", repeat(10, well), 3, nil},
		{"nobody reports", repeat(5, seen{verdict: hq.VerdictUnknown}), 3, nil},
		{"a resolver", slices.Concat(repeat(4, dns), repeat(10, well)), 3, []string{"dns_slow at 4 of the 4 stores with resolver 9.9.9.9"}},
		{"most of its shops", slices.Concat(repeat(4, dns), repeat(3, with(func(s *seen) { s.resolver = "9.9.9.9" })), repeat(10, well)), 3, []string{"dns_slow at 4 of the 7 stores with resolver 9.9.9.9"}},
		{"few of its shops, at other hours", slices.Concat(
			[]seen{dns, with(func(s *seen) { s.resolver, s.causes = "9.9.9.9", at("dns_slow", time.Hour) }), with(func(s *seen) { s.resolver, s.causes = "9.9.9.9", at("dns_slow", 2*time.Hour) })},
			repeat(9, with(func(s *seen) { s.resolver = "9.9.9.9" })), repeat(10, well)), 3, nil},
		{"too few", slices.Concat(repeat(2, dns), repeat(10, well)), 3, nil},
		{"few enough for who asks", slices.Concat(repeat(2, dns), repeat(10, well)), 2, []string{"dns_slow at 2 of the 2 stores with resolver 9.9.9.9"}},
		{"the router's address is another router in each shop", slices.Concat(
			[]seen{with(func(s *seen) { s.resolver, s.causes = "192.168.1.1", at("dns_slow", 0) }),
				with(func(s *seen) { s.resolver, s.causes = "192.168.1.1", at("dns_slow", 5*time.Hour) }),
				with(func(s *seen) { s.resolver, s.causes = "192.168.1.1", at("dns_slow", 10*time.Hour) })}, repeat(10, well)), 3, nil},
		{"a provider", slices.Concat(repeat(3, with(func(s *seen) { s.network, s.causes = "203.0.113.0/24", at("wan_lossy", 0) })), repeat(10, well)), 3,
			[]string{"wan_lossy at 3 of the 3 stores with address block 203.0.113.0/24"}},
		{"software of readers", slices.Concat(repeat(5, with(func(s *seen) { s.software, s.causes = "2.46", at("reader_offline", 0) })), repeat(10, well)), 3,
			[]string{"reader_offline at 5 of the 5 stores with reader software 2.46"}},
		{"a hub's version", slices.Concat(repeat(5, with(func(s *seen) { s.version, s.causes = "1.5", at("disk_low", 0) })), repeat(10, well)), 3,
			[]string{"disk_low at 5 of the 5 stores with hub version 1.5"}},
		{"a version that does not serve", slices.Concat(repeat(5, with(func(s *seen) { s.verdict, s.version, s.causes = "blocked", "1.5", at("hub_unable", 0) })), repeat(10, well)), 3,
			[]string{"hub_unable at 5 of the 5 stores with hub version 1.5"}},
		{"all at once have nothing else in common", slices.Concat(repeat(6, with(func(s *seen) { s.causes = at("stripe_failing", 2*time.Minute) })), repeat(6, well)), 3,
			[]string{"stripe_failing at 6 of 12 stores since 2026-11-26 09:02 UTC: they began together"}},
		{"all stores, of one make", repeat(6, with(func(s *seen) { s.causes = at("stripe_failing", 0) })), 3,
			[]string{"stripe_failing at 6 of 6 stores since 2026-11-26 09:00 UTC: they began together"}},
		{"over the day, by chance", []seen{with(func(s *seen) { s.causes = at("wan_down", 0) }), with(func(s *seen) { s.causes = at("wan_down", 11*time.Minute) }),
			with(func(s *seen) { s.causes = at("wan_down", 22*time.Minute) }), well, well}, 3, nil},
		{"at once, by chance among many", slices.Concat(repeat(3, with(func(s *seen) { s.causes = at("wan_down", 0) })), repeat(400, well)), 3, nil},
		{"the others have it as often", func() (list []seen) {
			for i := range 8 { // one after the other, five with the resolver and three without
				list = append(list, with(func(s *seen) {
					s.causes = at("wan_lossy", time.Duration(i)*time.Hour)
					if i < 5 {
						s.resolver = "9.9.9.9"
					}
				}))
			}
			return append(append(list, repeat(3, with(func(s *seen) { s.resolver = "9.9.9.9" }))...), well)
		}(), 3, nil},
		{"silent stores count nowhere", slices.Concat(repeat(4, with(func(s *seen) { s.verdict, s.causes = hq.VerdictSilent, at("wan_down", 0) })), repeat(10, well)), 3, nil},
		{"what is only told is no fault", slices.Concat(repeat(4, with(func(s *seen) { s.causes = at("double_nat", 0) })), repeat(10, well)), 3, nil},
		{"two faults, each once", slices.Concat(repeat(4, dns), repeat(5, with(func(s *seen) { s.network, s.causes = "203.0.113.0/24", at("dns_slow", 3*time.Hour) })), repeat(10, well)), 3,
			[]string{"dns_slow at 5 of the 5 stores with address block 203.0.113.0/24", "dns_slow at 4 of the 4 stores with resolver 9.9.9.9"}},
		{"the wider of two explanations", slices.Concat(repeat(4, with(func(s *seen) { s.resolver, s.network, s.causes = "9.9.9.9", "203.0.113.0/24", at("dns_slow", 0) })), repeat(3, dns), repeat(10, well)), 3,
			[]string{"dns_slow at 7 of the 7 stores with resolver 9.9.9.9"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var views []hq.StoreView
			for i, s := range c.stores {
				views = append(views, s.view(fmt.Sprintf("%04d", i)))
			}
			var got []string
			for range 5 { // maps have no order
				got = nil
				counted := map[string]bool{}
				for _, f := range hq.Shared(views, c.atLeast) {
					got = append(got, f.String())
					for _, id := range f.Stores {
						if counted[f.Code+id] {
							t.Errorf("store %s is counted twice", id)
						}
						counted[f.Code+id] = true
					}
				}
				if !slices.Equal(got, c.want) {
					t.Fatalf("got %q, want %q", got, c.want)
				}
				slices.Reverse(views)
			}
		})
	}
}
