package hq

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"storehub/doors"
)

// Software is what some reader of the fleet runs: a version, as Stripe writes it, and when
// this headquarters saw it first since its start.
type Software struct {
	DeviceType string    `json:"device_type"`
	Version    string    `json:"version"`
	Since      time.Time `json:"since"`
}

// softwareMost bounds the versions that are told of one type of reader; of more the latest
// are told.
const softwareMost = 16

// fleetSoftware is what readers of all stores run, so that a shop whose readers are all
// old learns of newer ones elsewhere.
type fleetSoftware struct {
	mu   sync.Mutex
	seen map[doors.Mode][]Software // oldest first
}

// saw takes in a list that Stripe gave.
func (f *fleetSoftware) saw(mode doors.Mode, l ReaderList) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, raw := range l.Readers {
		var r struct {
			DeviceType string `json:"device_type"`
			Version    string `json:"device_sw_version"`
		}
		if json.Unmarshal(raw, &r) != nil || r.DeviceType == "" || r.Version == "" || len(r.DeviceType)+len(r.Version) > 128 {
			continue // it says nothing of software
		}
		same := func(s Software) bool { return s.DeviceType == r.DeviceType && s.Version == r.Version }
		if slices.ContainsFunc(f.seen[mode], same) {
			continue
		}
		if f.seen == nil {
			f.seen = map[doors.Mode][]Software{}
		}
		list := append(f.seen[mode], Software{r.DeviceType, r.Version, l.At.UTC().Truncate(time.Second)})
		ofType := func(s Software) bool { return s.DeviceType == r.DeviceType }
		n := 0
		for _, s := range list {
			if ofType(s) {
				n++
			}
		}
		if n > softwareMost {
			first := slices.IndexFunc(list, ofType)
			list = slices.Delete(list, first, first+1)
		}
		f.seen[mode] = list
	}
}

// list is what was seen in a mode, by type, oldest first.
func (f *fleetSoftware) list(mode doors.Mode) []Software {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.Clone(f.seen[mode])
	slices.SortStableFunc(list, func(a, b Software) int { return cmp.Compare(a.DeviceType, b.DeviceType) })
	return list
}
