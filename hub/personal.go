package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
)

// keepPersonal is how long after its outcome what is personal in an operation can be
// read, at most: then its key is destroyed, wherever the operation still stands.
const keepPersonal = 30 * day

const day = 24 * time.Hour

// personal is the border for what is about a person (money.md 5.2): in the queue, its
// journal, its store and its second copy such fields are sealed, each operation's under
// a key of its own, which is kept elsewhere and can be destroyed.
type personal struct {
	store string
	keys  hq.PersonalKeys
	ring  *keyring // nil: there is none; everything is as erased
	// puts holds back what erases keys while an operation is between having a key and
	// being in the queue.
	puts sync.RWMutex
}

// PersonalKeyFile is where what locks the keys of personal fields is, and they beside it.
func (c Config) PersonalKeyFile() string {
	if c.Personal.KeyFile != "" {
		return c.Personal.KeyFile
	}
	dir, err := filepath.Abs(c.StateDir)
	if err != nil { // there is no working directory: opening says so
		dir = c.StateDir
	}
	return filepath.Join(dir+"-keys", "personal.key")
}

// PersonalKeys are the keys that lock personal fields in the shop, those of a headquarters
// in the hub too. Where none are named they are made.
func PersonalKeys(c Config) (hq.PersonalKeys, error) {
	file := c.PersonalKeyFile()
	if c.Personal.KeyFile == "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return nil, fmt.Errorf("open keys of personal fields: %w; name a place for them with personal.key_file", err)
		}
	}
	return hq.ReadPersonalKeys(file, c.Personal.KeyFile == "")
}

// openPersonal opens or makes the keys, for whoever has the queue open.
func openPersonal(c Config, fault func(string) error) (*personal, error) {
	keys, err := PersonalKeys(c)
	if err != nil {
		return nil, err
	}
	ring, err := openKeyring(c.PersonalKeyFile(), fault)
	if err != nil {
		return nil, err
	}
	return &personal{store: c.Store, keys: keys, ring: ring}, nil
}

// readPersonal is openPersonal without changing anything. What cannot be read is as erased.
func readPersonal(c Config) *personal {
	file := c.PersonalKeyFile()
	keys, err := hq.ReadPersonalKeys(file, false)
	if err != nil {
		return &personal{store: c.Store}
	}
	return &personal{store: c.Store, keys: keys, ring: readKeyring(file)}
}

func (p *personal) close() error {
	if p == nil {
		return nil
	}
	return p.ring.close()
}

// sealedData stands in the queue in place of an operation's data.
type sealedData struct {
	Sealed []byte `json:"sealed"`
	Slot   int    `json:"slot"`
}

// put stores an operation in the queue. What is there already is repeated if it asks for the same; once it is erased that
// cannot be told, and its id is enough.
func (p *personal) put(ctx context.Context, q *offlinequeue.Queue, op offlinequeue.Op) (offlinequeue.Op, error) {
	if !doors.Kind(op.Kind).Personal() {
		return q.Put(ctx, op)
	}
	p.puts.RLock()
	defer p.puts.RUnlock()
	for {
		have, err := q.Get(op.ID)
		if err == nil {
			if !p.same(have, op) {
				return offlinequeue.Op{}, fmt.Errorf("put operation %q: %w", op.ID, offlinequeue.ErrReused)
			}
			return q.Put(ctx, have)
		}
		if !errors.Is(err, offlinequeue.ErrNotFound) {
			return offlinequeue.Op{}, err
		}
		sealed, slot, err := p.seal(op)
		if err != nil {
			return offlinequeue.Op{}, err
		}
		stored, err := q.Put(ctx, sealed)
		if err == nil {
			return stored, nil
		}
		if slot >= 0 && notThere(err) {
			err = errors.Join(err, p.ring.erase(slot))
		}
		if !errors.Is(err, offlinequeue.ErrReused) { // else the same till was faster with the same key
			return offlinequeue.Op{}, err
		}
	}
}

// notThere reports whether an operation is certainly not in the queue under what it was
// put with. After other errors nobody knows, and the key stays for a month.
func notThere(err error) bool {
	return errors.Is(err, offlinequeue.ErrReused) || errors.Is(err, offlinequeue.ErrFull) || errors.Is(err, offlinequeue.ErrMirror)
}

// same reports whether an operation asks for what the one that is stored asks for.
func (p *personal) same(have, op offlinequeue.Op) bool {
	if have.Kind != op.Kind {
		return false
	}
	stood, erased := p.open(have)
	return erased || doors.BodyHash(fromQueue(stood)) == doors.BodyHash(fromQueue(op))
}

// seal puts an operation's data under a key of its own, which is on the disk when it
// returns. slot is -1 where there is no data.
func (p *personal) seal(op offlinequeue.Op) (_ offlinequeue.Op, slot int, err error) {
	if op.Data == nil {
		return op, -1, nil
	}
	locked, sealed, err := p.keys.Seal(p.store, op.ID, op.Data)
	if err != nil {
		return op, -1, fmt.Errorf("seal personal fields: %w", err)
	}
	if slot, err = p.ring.add(keySlot{op.ID, op.Created, locked}); err != nil {
		return op, -1, err
	}
	if op.Data, err = json.Marshal(sealedData{sealed, slot}); err != nil {
		return op, slot, fmt.Errorf("seal personal fields: %w", err)
	}
	op.Hash = doors.BodyHash(fromQueue(op)) // one of the clear text would outlive it
	return op, slot, nil
}

// open gives an operation as it was put; erased: without what was personal in it.
func (p *personal) open(op offlinequeue.Op) (_ offlinequeue.Op, erased bool) {
	if !doors.Kind(op.Kind).Personal() || op.Data == nil {
		return op, false
	}
	var d sealedData
	if json.Unmarshal(op.Data, &d) != nil || d.Sealed == nil {
		return op, false // an earlier version stored it as it came
	}
	op.Data = nil
	if p == nil {
		return op, true
	}
	s, err := p.ring.get(d.Slot)
	if err != nil || s.id != op.ID {
		return op, true
	}
	plain, err := p.keys.Open(p.store, op.ID, s.locked, d.Sealed)
	if err != nil {
		return op, true
	}
	op.Data = plain
	return op, false
}

// show is an operation in the doors' words.
func (p *personal) show(op offlinequeue.Op) doors.Operation {
	op, _ = p.open(op)
	return fromQueue(op)
}

// erase destroys the keys whose time is over: of what has had its end for so long, and
// of what stands in the queue no more.
func (p *personal) erase(ctx context.Context, q *offlinequeue.Queue, now time.Time) (n int, err error) {
	for i := 0; i < p.ring.size() && ctx.Err() == nil; i++ {
		over, err := p.eraseOne(q, i, now)
		if err != nil {
			return n, err
		}
		if over {
			n++
		}
	}
	return n, p.ring.erase() // what failed before
}

func (p *personal) eraseOne(q *offlinequeue.Queue, i int, now time.Time) (bool, error) {
	s, err := p.ring.get(i)
	if err != nil {
		return false, nil
	}
	p.puts.Lock()
	defer p.puts.Unlock()
	op, err := q.Get(s.id)
	switch {
	case errors.Is(err, offlinequeue.ErrNotFound):
		// A queue that was damaged stands aside and may be exported that long.
		if now.Sub(s.at) < keepPersonal {
			return false, nil
		}
	case err != nil:
		return false, err
	case !op.State.Final() || now.Sub(op.Changed) < keepPersonal:
		return false, nil
	}
	return true, p.ring.erase(i)
}

// eraseEvery: how late a key is destroyed at most.
const eraseEvery = time.Hour

// erasePersonal destroys keys until ctx ends.
func (h *Hub) erasePersonal(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := h.personal.erase(ctx, h.queue, h.now())
		if err != nil {
			h.log.Error("erase personal fields", "err", err)
		}
		if n > 0 {
			h.log.Info("personal fields are erased", "operations", n)
		}
		pause(ctx, eraseEvery)
	}
	return nil
}

// CheckPersonalKey reports whether the key file can be read, where one is named.
func (c Config) CheckPersonalKey() error {
	if c.Personal.KeyFile == "" {
		return nil
	}
	_, err := hq.ReadPersonalKeys(c.Personal.KeyFile, false)
	return err
}
