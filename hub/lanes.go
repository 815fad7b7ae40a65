package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"storehub/doors"
	"storehub/readers"
)

// lanes says which reader stands at which till: lanes.json in the state directory,
// a till's name and its reader's serial number. A reader may stand between two
// tills; a till has one. It is a word of people's about the shop: nothing is
// refused because of it.
type lanes struct {
	mu   sync.Mutex
	path string
	pins map[string]string
}

// lanesFile is lanes.json.
type lanesFile struct {
	Version int               `json:"version"`
	Readers map[string]string `json:"readers"`
}

// openLanes reads them. A file that cannot be read is an error and not an empty one:
// a till would take its neighbour's reader.
func openLanes(stateDir string) (*lanes, error) {
	l := &lanes{path: filepath.Join(stateDir, "lanes.json"), pins: map[string]string{}}
	b, err := os.ReadFile(l.path)
	if notExist(err) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open lanes: %w", err)
	}
	var f lanesFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("open lanes %s: %w", l.path, err)
	}
	if f.Version != 1 {
		return nil, fmt.Errorf("open lanes %s: version %d; this program knows version 1", l.path, f.Version)
	}
	maps.Copy(l.pins, f.Readers)
	return l, nil
}

// pin has the till use that reader; serial "" has it use none in particular. was is
// the one that it used.
func (l *lanes) pin(till, serial string) (was string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was = l.pins[till]
	next := maps.Clone(l.pins)
	if serial == "" {
		delete(next, till)
	} else {
		next[till] = serial
	}
	b, err := json.MarshalIndent(lanesFile{1, next}, "", "  ")
	if err == nil {
		err = writeFile(l.path, append(b, '\n'))
	}
	if err != nil {
		return was, fmt.Errorf("pin reader: %w", err)
	}
	l.pins = next
	return was, nil
}

// at are the tills, by name, at which the reader stands.
func (l *lanes) at(serial string) (tills []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for till, s := range l.pins {
		if s == serial {
			tills = append(tills, till)
		}
	}
	slices.Sort(tills)
	return tills
}

// PinRequest asks the admin socket to have a till use a reader.
type PinRequest struct {
	Till   string `json:"till"`
	Reader string `json:"reader"` // its serial number or id; "": none in particular
}

// pinReader says which reader stands at a till, and tells tills of it.
func (h *Hub) pinReader(p PinRequest) (TillReader, error) {
	if !slices.ContainsFunc(h.tills.List(), func(t TillInfo) bool { return t.Name == p.Till && t.Revoked.IsZero() }) {
		return TillReader{}, fmt.Errorf("pin reader to till %q: %w", p.Till, ErrNoTill)
	}
	var r readers.Reader
	if p.Reader != "" {
		var known bool
		if r, known = h.fleet.reader(p.Reader); !known {
			return TillReader{}, doors.ErrNotFound.With("no reader %s here", p.Reader)
		}
		if r.Serial == "" {
			return TillReader{}, errors.New("pin reader: its serial number is not known yet")
		}
	}
	was, err := h.lanes.pin(p.Till, r.Serial)
	if err != nil {
		return TillReader{}, err
	}
	h.log.Info("reader pinned", "till", p.Till, "reader", r.Serial, "was", was)
	for _, serial := range []string{was, r.Serial} {
		if x, known := h.fleet.reader(serial); known && was != r.Serial {
			h.events.publish(doors.Event{Type: eventReader, Data: readerChange{changePinned, x}}, false)
		}
	}
	return h.tillReader(h.fleet.lan.nets(), h.offlineFacts(), doors.Till{Name: p.Till}, r), nil
}
