package hq

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// SharedFault is one fault that several stores show together, with what they have in
// common and the others have not.
type SharedFault struct {
	Code     string    `json:"code"`
	Severity string    `json:"severity"`
	Title    string    `json:"title"`
	By       string    `json:"by"` // resolver, address_block, reader_software, hub_version, time
	Value    string    `json:"value"`
	Since    time.Time `json:"since"`  // when the first of them had it
	Stores   []string  `json:"stores"` // that show it
	Of       int       `json:"of"`     // stores that have this in common, or that report at all
}

// String is the fault in a line.
func (f SharedFault) String() string {
	if f.By == sharedTime {
		return fmt.Sprintf("%s at %d of %d stores since %s: they began together", f.Code, len(f.Stores), f.Of, f.Value)
	}
	return fmt.Sprintf("%s at %d of the %d stores with %s %s", f.Code, len(f.Stores), f.Of, strings.ReplaceAll(f.By, "_", " "), f.Value)
}

// What stores have in common, the likelier explanation first.
const (
	sharedResolver = "resolver"
	sharedBlock    = "address_block"
	sharedSoftware = "reader_software"
	sharedVersion  = "hub_version"
	sharedTime     = "time"
)

var sharedOrder = []string{sharedResolver, sharedBlock, sharedSoftware, sharedVersion, sharedTime}

const (
	// sharedWithin: causes that one fault brings about are seen within minutes.
	sharedWithin = 10 * time.Minute
	// sharedPart: of many stores a few break together by chance. Those that merely began
	// together are one fault when they are one in so many.
	sharedPart = 100
)

// feature is something that stores may have in common.
type feature struct{ by, value string }

// Shared finds the faults that at least so many stores show together. A store's cause is
// part of one shared fault at most: that which most stores share. Something that
// stores have in common counts when at least half of those that have it show the fault,
// and twice as often as those that have it not. Stores that are silent count nowhere.
func Shared(stores []StoreView, atLeast int) []SharedFault {
	have, shows := map[feature]map[string]bool{}, map[string]map[string]ReportCause{}
	reporting := 0
	for _, st := range stores {
		if st.Report == nil || !verdicts[st.Verdict] {
			continue
		}
		reporting++
		for _, f := range st.features() {
			put(have, f, st.ID, true)
		}
		for _, c := range slices.Backward(st.Report.Causes) { // the first of a code stands
			if c.Severity != "info" {
				put(shows, c.Code, st.ID, c)
			}
		}
	}
	list := []SharedFault{}
	for _, code := range slices.Sorted(maps.Keys(shows)) {
		left := maps.Clone(shows[code])
		for len(left) >= atLeast {
			f, ok := widest(code, left, shows[code], have, reporting, atLeast)
			if !ok {
				break
			}
			list = append(list, f)
			for _, id := range f.Stores {
				delete(left, id)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b SharedFault) int {
		return cmp.Or(cmp.Compare(len(b.Stores), len(a.Stores)), cmp.Compare(a.Code, b.Code))
	})
	return list
}

func put[K, L comparable, V any](m map[K]map[L]V, k K, l L, v V) {
	if m[k] == nil {
		m[k] = map[L]V{}
	}
	m[k][l] = v
}

// widest is what most of the stores that are left have in common.
func widest(code string, left, all map[string]ReportCause, have map[feature]map[string]bool, reporting, atLeast int) (best SharedFault, ok bool) {
	better := func(f SharedFault) {
		if len(f.Stores) < atLeast {
			return
		}
		if !ok || cmp.Or(cmp.Compare(len(f.Stores), len(best.Stores)), cmp.Compare(best.Of, f.Of),
			cmp.Compare(slices.Index(sharedOrder, best.By), slices.Index(sharedOrder, f.By)), cmp.Compare(best.Value, f.Value)) > 0 {
			best, ok = f, true
		}
	}
	for what, members := range have {
		var in []string
		with := 0
		for id := range members {
			if _, shown := all[id]; shown {
				with++
			}
			if _, shown := left[id]; shown {
				in = append(in, id)
			}
		}
		others, without := reporting-len(members), len(all)-with
		if 2*with < len(members) || others == 0 || with*others < 2*without*len(members) {
			continue
		}
		better(shared(code, what, in, left, len(members)))
	}
	in := together(left)
	if len(in)*sharedPart >= reporting {
		f := shared(code, feature{by: sharedTime}, in, left, reporting)
		f.Value = f.Since.UTC().Format("2006-01-02 15:04 MST")
		better(f)
	}
	return best, ok
}

// together is the most stores whose causes began within minutes of one another.
func together(of map[string]ReportCause) (most []string) {
	ids := slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Or(of[a].Since.Compare(of[b].Since), cmp.Compare(a, b)) })
	from := 0
	for i, id := range ids {
		for of[id].Since.Sub(of[ids[from]].Since) > sharedWithin {
			from++
		}
		if i+1-from > len(most) {
			most = ids[from : i+1]
		}
	}
	return most
}

func shared(code string, what feature, ids []string, of map[string]ReportCause, members int) SharedFault {
	f := SharedFault{Code: code, By: what.by, Value: what.value, Stores: slices.Sorted(slices.Values(ids)), Of: members}
	for i, id := range f.Stores {
		c := of[id]
		if i == 0 || c.Since.Before(f.Since) {
			f.Since = c.Since
		}
		if i == 0 || c.Severity == "critical" {
			f.Severity, f.Title = c.Severity, c.Title
		}
	}
	return f
}

// features are what the store may have in common with others. An address that means
// another machine in each shop is none.
func (st StoreView) features() (list []feature) {
	for _, a := range st.Report.Resolvers {
		if addr, err := netip.ParseAddr(a); err == nil && public(addr) {
			list = append(list, feature{sharedResolver, a})
		}
	}
	for _, v := range st.Report.Software {
		list = append(list, feature{sharedSoftware, v})
	}
	if st.Network != "" {
		list = append(list, feature{sharedBlock, st.Network})
	}
	if st.Report.Version != "" {
		list = append(list, feature{sharedVersion, st.Report.Version})
	}
	return list
}
