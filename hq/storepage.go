package hq

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"storehub/doors"
)

// LedgerLine is an operation as headquarters has it, without what may be about a person.
type LedgerLine struct {
	Number   int64 // in order of arrival
	Recorded time.Time
	doors.Operation
}

// Operations are a store's newest, heartbeats left out, at most so many; before is the
// number below which they are, 0: the newest of all.
func (s *Server) Operations(ctx context.Context, store string, before int64, most int) ([]LedgerLine, error) {
	ops, err := s.db.operations(ctx, `store = ?1 AND (?2 = 0 OR seq < ?2) AND kind <> 'heartbeat' ORDER BY seq DESC LIMIT ?3`, store, before, most)
	if err != nil {
		return nil, fmt.Errorf("list operations: %w", err)
	}
	list := make([]LedgerLine, 0, len(ops))
	for _, o := range ops {
		o.Data, o.Result = nil, nil
		list = append(list, LedgerLine{o.seq, o.recordedAt, o.Operation})
	}
	return list, nil
}

// SeenReader is a reader as Stripe last told headquarters of it.
type SeenReader struct {
	ID       string `json:"id"`
	Label    string `json:"label"`
	Serial   string `json:"serial_number"`
	Type     string `json:"device_type"`
	Status   string `json:"status"` // online, offline; "": Stripe did not say
	Address  string `json:"ip_address"`
	Software string `json:"device_sw_version"`
}

// LastReaders are the store's readers as they were last read for its hub. Stripe is not
// asked: who looks costs no read. The time is zero where they were not read yet.
func (s *Server) LastReaders(ctx context.Context, st StoreRecord) (list []SeenReader, at time.Time, err error) {
	p := readerPlace{st.Mode, st.Account, st.Location}
	e := s.readers.at(p)
	e.mu.Lock()
	last := e.list
	e.mu.Unlock()
	if s.db.engine != nil && last.At.IsZero() {
		if last, err = s.db.readerList(ctx, p); err != nil {
			return nil, at, fmt.Errorf("read readers: %w", err)
		}
	}
	for _, raw := range last.Readers {
		var r SeenReader
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, at, fmt.Errorf("read readers: %w", err)
		}
		list = append(list, r)
	}
	return list, last.At, nil
}
