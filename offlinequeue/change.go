package offlinequeue

import (
	"errors"
	"time"
)

// change is one group of requests, each a record of the journal.
type change struct {
	*reader
	st      state
	now     time.Time
	serial  uint64 // of the record that is being made
	writes  []write
	saved   []saved
	told    []Op // for OnChange
	listens bool // somebody does
	reindex bool // the chain changed: every operation has to be looked at
	forgets bool // records were written otherwise than by save
	recent  *recent
	known   func(id string) glance // what is known of an operation of the schedule
	linked  map[string]link        // written by the group
	stands  map[string]*record     // by id, as the group left them; nil: pruned
	retract bool                   // what was offered waits again
	wrote   bool                   // the record says something
	asked   bool                   // whether there is room for what is new,
	full    error
}

// saved is one operation before (nil: new) and after (nil: pruned) a change.
type saved struct{ old, new *record }

// record ends a change's record.
func (c *change) record(g *flushGroup, k kind, places []overlaid) ([]overlaid, error) {
	if c.st.dirty {
		b, err := frame(c.st.history)
		if err == nil {
			err = c.set(keyHistory, b)
		}
		if err != nil {
			return places, err
		}
		c.st.dirty = false
	}
	g.begin()
	g.buf = appendWrite(g.buf, write{key: keyState, value: c.st.encode()})
	for _, w := range c.writes {
		g.buf = appendWrite(g.buf, w)
		places = append(places, overlaid{w.key, place{
			number: c.serial, at: int64(g.open), from: int32(len(g.buf) - len(w.value) - g.payload), length: int32(len(w.value)), deleted: w.deleted,
		}})
	}
	return places, g.end(k)
}

// storeError is trouble of the store, in contrast to a refusal by an apply.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

func trouble(err error) error {
	if err == nil {
		return nil
	}
	return &storeError{err}
}

// set writes a key.
func (c *change) set(key string, value []byte) error {
	was := uint64(0)
	if summed(key) {
		_, n, err := c.get(key)
		if err != nil && !errors.Is(err, errAbsent) {
			return trouble(err)
		}
		was = n
	}
	c.replace(key, value, was)
	return nil
}

// replace writes a key that record was wrote; 0: a new key.
func (c *change) replace(key string, value []byte, was uint64) {
	c.count(key, was, c.serial)
	c.own[key] = owned{value: value, number: c.serial}
	c.writes, c.wrote = append(c.writes, write{key: key, value: value}), true
}

// remove deletes a key, if it is there.
func (c *change) remove(key string) error {
	_, was, err := c.get(key)
	if errors.Is(err, errAbsent) {
		return nil
	}
	if err != nil {
		return trouble(err)
	}
	c.count(key, was, 0)
	c.own[key] = owned{deleted: true}
	c.writes, c.wrote = append(c.writes, write{key: key, deleted: true}), true
	return nil
}

// count keeps the sum of the state.
func (c *change) count(key string, was, is uint64) {
	if !summed(key) {
		return
	}
	if was > 0 {
		c.st.Sum -= share(key, was)
	}
	if is > 0 {
		c.st.Sum += share(key, is)
	}
}

// save writes how an operation stands that was loaded as old (nil: a new one).
// From now on neither is changed: others see them.
func (c *change) save(old, r *record) {
	b := r.stand()
	c.replace(keySeq(r.Seq), b, r.written)
	r.size, r.written, r.stood, r.frame = len(b)+r.asked, c.serial, nil, nil
	c.saved = append(c.saved, saved{old, r})
	c.stands[r.ID] = r
}

// load reads an operation, which is not to be changed, but a copy of it; ErrNotFound if
// there is none.
func (c *change) load(id string) (*record, error) {
	r, ok := c.stands[id]
	if !ok {
		r, ok = c.recent.op(id)
	}
	switch {
	case !ok:
		k := c.known(id)
		return c.loadWith(id, k.asked, func(seq uint64) (record, error) {
			if k.stood != nil {
				if _, own := c.own[keySeq(seq)]; !own {
					return stoodAt(seq, k.stood, k.written)
				}
			}
			return c.standing(seq)
		})
	case r == nil:
		return nil, ErrNotFound
	}
	return r, nil
}

// link reads a step of the submit chain; false: there is none.
func (c *change) link(gen uint32, number uint64) (link, bool, error) {
	key := keyLink(gen, number)
	l, ok := c.linked[key]
	if !ok {
		l, ok = c.recent.link(key)
	}
	if ok {
		return l, true, nil
	}
	return c.reader.link(gen, number)
}

// chain writes a step of the submit chain.
func (c *change) chain(gen uint32, number uint64, l link) {
	key := keyLink(gen, number)
	c.replace(key, l.encode(), 0)
	c.linked[key] = l
}

// tell has OnChange called with the operation once it is flushed.
func (c *change) tell(r *record) {
	if c.listens {
		c.told = append(c.told, c.st.show(r))
	}
}

// show is the operation as callers see it: a number that no longer stands is none.
func (s *state) show(r *record) Op {
	op := r.Op
	if !s.holds(r.Gen, r.Number) {
		op.Number = 0
	}
	return op
}
