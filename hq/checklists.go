package hq

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// FleetChecklist is the checklists of stores, the worst first.
type FleetChecklist struct {
	Stores []StoreChecklist `json:"stores"`
}

// StoreChecklist is one store's. State is the worst of its items; unknown without a
// report.
type StoreChecklist struct {
	Store      string       `json:"store"`
	Name       string       `json:"name,omitempty"`
	State      string       `json:"state"`
	ReportedAt *time.Time   `json:"reported_at"` // null: never
	Old        bool         `json:"old"`         // it is too old to say anything of now
	Items      []ReportItem `json:"items"`
	worst      [3]int       // how many are in each of the worst states
}

// itemStates is every state of an item, the worst first.
var itemStates = []string{"fail", "unknown", "attention", "signed_off", "pass", "not_applicable"}

// Done reports whether nobody has anything to do about the item.
func (it ReportItem) Done() bool { return slices.Contains(itemStates[3:], it.State) }

// Whose says whose the item is to be done.
func (it ReportItem) Whose() string { return cmp.Or(it.Owner, "not told") }

// Due says when the item is due next. That none was told is not that there is none.
func (it ReportItem) Due() string {
	switch {
	case !it.NextDue.IsZero():
		return it.NextDue.UTC().Format(time.DateOnly)
	case it.Owner == "":
		return "not told"
	case it.Done():
		return "none"
	}
	return "now"
}

// worst is the worst state of the items.
func worst(items []ReportItem) string {
	for _, state := range itemStates {
		if slices.ContainsFunc(items, func(it ReportItem) bool { return it.State == state }) {
			return state
		}
	}
	return "unknown" // no item, or only states that this version does not know
}

// Checklists are the stores', the worst first: those with more failing items, then with
// more items that nobody can tell, then with more to do.
func Checklists(stores []StoreView) FleetChecklist {
	list := FleetChecklist{Stores: []StoreChecklist{}}
	for _, st := range stores {
		c := StoreChecklist{Store: st.ID, Name: st.Name, State: "unknown", ReportedAt: st.ReportedAt, Old: st.Verdict == VerdictSilent, Items: []ReportItem{}}
		if st.Report != nil {
			c.Items, c.State = st.Report.Checklist, worst(st.Report.Checklist)
			if told := st.Report.ToldAt; st.Report.Unable != "" {
				if c.ReportedAt, c.Old = nil, true; !told.IsZero() {
					c.ReportedAt = &told
				}
			}
		}
		list.Stores = append(list.Stores, c)
	}
	for i := range list.Stores {
		for j, state := range itemStates[:3] {
			list.Stores[i].worst[j] = list.Stores[i].Count(state)
		}
	}
	slices.SortStableFunc(list.Stores, func(a, b StoreChecklist) int { return slices.Compare(b.worst[:], a.worst[:]) })
	return list
}

// Count is how many items are in a state; without a report all of them are unknown.
func (c StoreChecklist) Count(state string) (n int) {
	if len(c.Items) == 0 && state == "unknown" {
		return allItems
	}
	for _, it := range c.Items {
		if it.State == state {
			n++
		}
	}
	return n
}

// allItems is how many items Stripe's checklist has.
const allItems = 15

// Sum is the store's checklist in a line.
func (c StoreChecklist) Sum() string {
	if len(c.Items) == 0 {
		return "nothing is known"
	}
	return fmt.Sprintf("%d of %d pass, are signed off or do not apply, %d fail, %d want attention, %d not known",
		c.Count("pass")+c.Count("signed_off")+c.Count("not_applicable"), len(c.Items), c.Count("fail"), c.Count("attention"), c.Count("unknown"))
}

// ChecklistSum is how many items are done, of how many, and how many fail; "": there are
// no items.
func ChecklistSum(items []ReportItem) string {
	done, fail := 0, 0
	for _, it := range items {
		if it.Done() {
			done++
		}
		if it.State == "fail" {
			fail++
		}
	}
	switch {
	case len(items) == 0:
		return ""
	case fail > 0:
		return fmt.Sprintf("%d/%d, %d fail", done, len(items), fail)
	}
	return fmt.Sprintf("%d/%d", done, len(items))
}
