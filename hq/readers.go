package hq

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"sync"
	"time"

	"storehub/doors"
)

// askedLately: a Location's readers are polled while some hub wants to know.
const askedLately = 2 * time.Minute

// readerCache holds what Stripe last said of each Location's readers, so that
// many hubs and tills cost one read.
type readerCache struct {
	mu sync.Mutex
	m  map[readerPlace]*readerEntry

	software fleetSoftware
}

type readerPlace struct {
	mode              doors.Mode
	account, location string
}

type readerEntry struct {
	fetch sync.Mutex // one read of Stripe at a time
	mu    sync.Mutex
	list  ReaderList
	asked time.Time
}

func (c *readerCache) at(p readerPlace) *readerEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[readerPlace]*readerEntry{}
	}
	e, ok := c.m[p]
	if !ok {
		e = &readerEntry{}
		c.m[p] = e
	}
	return e
}

// wanted are the places some hub asked about lately.
func (c *readerCache) wanted(now time.Time) []readerPlace {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []readerPlace
	for p, e := range c.m {
		e.mu.Lock()
		if now.Sub(e.asked) <= askedLately {
			list = append(list, p)
		}
		e.mu.Unlock()
	}
	return list
}

// readerList is the store's readers: as last polled, or asked for now if that is
// too long ago for what may still be read (money.md 4.6). An old list says how old it is and is better than none.
func (s *Server) readerList(ctx context.Context, st record) (ReaderList, error) {
	p := readerPlace{st.Mode, st.Account, st.Location}
	e := s.readers.at(p)
	e.mu.Lock()
	e.asked = s.now()
	list := e.list
	e.mu.Unlock()
	paced := s.readersPaced(p.mode, p.account)
	if !list.At.IsZero() && s.now().Sub(list.At) < 2*paced {
		return list, nil
	}
	err := s.fetchReaders(ctx, p, e, paced)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil && e.list.At.IsZero() {
		return ReaderList{}, refusalFrom(err)
	}
	return e.list, nil
}

// fetchReaders reads Stripe's list unless another goroutine or replica just did.
func (s *Server) fetchReaders(ctx context.Context, p readerPlace, e *readerEntry, fresh time.Duration) error {
	e.fetch.Lock()
	defer e.fetch.Unlock()
	e.mu.Lock()
	at := e.list.At
	e.mu.Unlock()
	if !at.IsZero() && s.now().Sub(at) < fresh {
		return nil
	}
	list, err := s.sharedReaders(ctx, p, fresh)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.list = list
	e.mu.Unlock()
	s.readers.software.saw(p.mode, list)
	return nil
}

// sharedReaders takes the list that another replica read, or reads it for all:
// Stripe's reads are rationed by account, however many replicas there are. While
// another one is reading, an older list serves.
func (s *Server) sharedReaders(ctx context.Context, p readerPlace, fresh time.Duration) (ReaderList, error) {
	if s.db.engine == nil {
		return s.askReaders(ctx, p)
	}
	have, err := s.db.readerList(ctx, p)
	if err != nil || !have.At.IsZero() && s.now().Sub(have.At) < fresh {
		return have, err
	}
	lease := "readers/" + string(p.mode) + "/" + p.account + "/" + p.location
	ours, err := s.db.take(ctx, lease, stripeTimeout)
	if err != nil || !ours && !have.At.IsZero() {
		return have, err
	}
	list, err := s.askReaders(ctx, p)
	if err == nil {
		err = s.db.keepReaderList(ctx, p, list)
	}
	if ours {
		err = errors.Join(err, s.db.drop(ctx, lease))
	}
	return list, err
}

func (s *Server) askReaders(ctx context.Context, p readerPlace) (ReaderList, error) {
	st, err := s.stripe(p.mode)
	if err != nil {
		return ReaderList{}, err
	}
	list, err := st.Readers(ctx, p.account, p.location)
	s.heard(ctx, p.mode, "readers", err)
	if err != nil {
		return ReaderList{}, err
	}
	if list == nil {
		list = []json.RawMessage{}
	}
	return ReaderList{At: s.now().UTC(), Readers: list}, nil
}

// readerList is what any replica read last; its time is zero if none did.
func (d *database) readerList(ctx context.Context, p readerPlace) (ReaderList, error) {
	var at int64
	var b []byte
	err := d.r.QueryRowContext(ctx, `SELECT at, list FROM reader_lists WHERE mode = ? AND account = ? AND location = ?`, p.mode, p.account, p.location).Scan(&at, &b)
	if isNoRows(err) {
		return ReaderList{}, nil
	}
	if err != nil {
		return ReaderList{}, err
	}
	l := ReaderList{At: fromMS(at)}
	return l, json.Unmarshal(b, &l.Readers)
}

func (d *database) keepReaderList(ctx context.Context, p readerPlace, l ReaderList) error {
	b, err := json.Marshal(l.Readers)
	if err != nil {
		return err
	}
	_, err = d.w.ExecContext(ctx, `INSERT INTO reader_lists (mode, account, location, at, list) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (mode, account, location) DO UPDATE SET at = ?4, list = ?5`, p.mode, p.account, p.location, ms(l.At), b)
	return err
}

// readersPaced is how long polls of the account's readers rest: less than others,
// since a shop waits for the news of a reader and looks at it every 15 s itself.
func (s *Server) readersPaced(mode doors.Mode, account string) time.Duration {
	return s.paced(mode, account) * 3 / 4
}

// runReaders keeps the lists fresh that hubs ask for.
func (s *Server) runReaders(ctx context.Context) error {
	for {
		if err := pause(ctx, jitter(s.poll*3/4)); err != nil {
			return err
		}
		for _, p := range s.readers.wanted(s.now()) {
			call, cancel := context.WithTimeout(ctx, stripeTimeout)
			if err := s.fetchReaders(call, p, s.readers.at(p), s.readersPaced(p.mode, p.account)-s.poll*3/8); err != nil && ctx.Err() == nil {
				s.log.Warn("poll readers", "location", p.location, "err", err)
			}
			cancel()
		}
	}
}

// readerLocation is where Stripe says the reader is. A reader cannot change its
// Location without being registered anew, under another id.
func (s *Server) readerLocation(ctx context.Context, st record, stripe Stripe, id string) (string, error) {
	e := s.readers.at(readerPlace{st.Mode, st.Account, st.Location})
	e.mu.Lock()
	known := e.list.Readers
	e.mu.Unlock()
	for _, raw := range known {
		if r, err := readReader(raw); err == nil && r.ID == id {
			return string(r.Location), nil
		}
	}
	raw, err := stripe.Call(ctx, st.Account, doors.RetrieveReader, "", url.Values{"reader": {id}})
	s.heard(ctx, st.Mode, "retrieve_reader", err)
	if err != nil {
		return "", err
	}
	r, err := readReader(raw)
	return string(r.Location), err
}

type readerObject struct {
	ID       string     `json:"id"`
	Location idOrObject `json:"location"`
}

func readReader(raw json.RawMessage) (readerObject, error) {
	var r readerObject
	err := json.Unmarshal(raw, &r)
	return r, err
}
