package offlinequeue

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Report is what Verify found. Nothing is damaged: OK.
type Report struct {
	Segments int    `json:"segments"`
	First    uint64 `json:"first"` // number of the oldest record of the journal
	Last     uint64 `json:"last"`
	Hash     string `json:"hash"`          // of the journal's chain at Last
	Applied  uint64 `json:"applied"`       // the store has the journal up to here
	Key      string `json:"key,omitempty"` // the id of the key it is encrypted with

	Operations uint64 `json:"operations"`
	Number     uint64 `json:"number"` // last submission number given
	Head       string `json:"head"`   // of the submit chain there
	Cursor     Cursor `json:"cursor"`

	Damage []Damage `json:"damage,omitempty"`
	Lost   []string `json:"lost,omitempty"` // in words, since the queue was made
}

// Damage is a part of a queue that cannot be read, as it lies on the disk.
type Damage struct {
	Where string `json:"where"`          // a segment of the journal, or the store
	From  uint64 `json:"from,omitempty"` // records of the journal
	To    uint64 `json:"to,omitempty"`
	Why   string `json:"why"`
}

// OK reports whether nothing is damaged, and nothing was ever lost.
func (r *Report) OK() bool { return len(r.Damage) == 0 && len(r.Lost) == 0 }

// Verify reads every record of the journal of a queue that no hub uses, follows its
// chain, and holds the store against it. It changes nothing. ErrInUse: a hub has it.
// What it names as damage, the next Open heals if either still has it; what Open could
// not heal is in Lost.
func Verify(dir string, keys ...Key) (Report, error) {
	r, err := verify(dir, keys)
	if err != nil {
		return r, fmt.Errorf("verify queue %s: %w", dir, err)
	}
	return r, nil
}

func verify(dir string, keys []Key) (r Report, err error) {
	if _, err := os.Stat(filepath.Join(dir, formatName)); err != nil {
		return r, err
	}
	copied, err := os.MkdirTemp("", "storehub-queue-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(copied)) }()
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return r, err
	}
	known, err := readFormat(dir)
	if err == nil && known < format {
		err = fmt.Errorf("it has format %d, which has no journal yet", known)
	}
	if err == nil {
		keys, err = locked(dir, keys)
	}
	if err == nil {
		err = duplicateFiles(copied, dir)
	}
	if err = errors.Join(err, lock.Close()); err != nil {
		return r, err
	}
	q := &Queue{dir: copied, log: slog.New(slog.DiscardHandler), now: time.Now}
	if len(keys) > 0 {
		q.seal = newSeal(keys[0])
		r.Key = q.seal.id
	}
	f := &found{}
	defer func() { err = errors.Join(err, f.close()) }()
	if f.journal, err = openJournal(osDisk(filepath.Join(copied, journalName)), segmentSize, q.seal); err != nil {
		return r, err
	}
	if err := r.readJournal(f); err != nil {
		return r, err
	}
	r.readStore(f, q)
	return r, nil
}

// Examine is Verify, and has fn look at what stands: at a copy that is discarded
// afterwards, healed as Open would heal it.
func Examine(dir string, fn func(Report, *Queue) error, keys ...Key) error {
	r, err := Verify(dir, keys...)
	if err != nil {
		return err
	}
	q, discard, err := duplicate(dir, keys)
	if err != nil {
		return fmt.Errorf("read queue %s: %w", dir, err)
	}
	defer discard()
	return fn(r, q)
}

// Verify is the same for a queue that is open, and goes on working meanwhile. The
// segment that is being written is read while nothing is, which takes some
// milliseconds.
func (q *Queue) Verify(ctx context.Context) (r Report, err error) {
	var before *position
	from := uint64(0)
	for last := false; !last; {
		var seg *segment
		var read segment
		scan := func(j *journal) error {
			if seg, last = j.next(from); seg == nil {
				return errors.New("the journal is missing")
			}
			read = segment{file: seg.file, name: seg.name, before: position{number: seg.before.number}}
			return read.scan(before, last)
		}
		if _, last = q.journalNow().next(from); last {
			err = q.do(ctx, "look", 0, func(*change) error { return scan(q.journal) })
		} else {
			err = scan(q.journalNow())
		}
		switch {
		case errors.Is(err, os.ErrClosed): // it was given back meanwhile
			before = nil
		case err != nil:
			return r, fmt.Errorf("verify queue %s: %w", q.dir, err)
		default:
			r.segment(&read)
			before = &read.last
		}
		from = seg.before.number + 1
	}
	if err := q.storeNow().view(func(t *tx) error { return r.sum(t) }); err != nil {
		r.damaged(storeName, 0, 0, err.Error())
	}
	_, st := q.reader()
	r.stands(&st) // what is not applied yet stands too
	r.Operations, r.Key = st.Held, q.seal.name()
	return r, nil
}

func (r *Report) damaged(where string, from, to uint64, why string) {
	r.Damage = append(r.Damage, Damage{where, from, to, why})
}

// readJournal walks the chain.
func (r *Report) readJournal(f *found) error {
	if len(f.journal.segments) == 0 {
		r.damaged(journalName, 0, 0, "it is missing")
		return nil
	}
	if err := f.scan(0); err != nil {
		return err
	}
	for _, s := range f.journal.segments {
		r.segment(s)
	}
	return nil
}

// segment takes in a segment that was read.
func (r *Report) segment(s *segment) {
	for _, g := range s.bad {
		why := "the records cannot be read"
		if g.from > g.to {
			why = "its head cannot be read"
		}
		r.damaged(s.name, g.from, g.to, why)
	}
	if r.Segments++; r.Segments == 1 {
		r.First = s.before.number + 1
	}
	r.Last, r.Hash = s.last.number, hex.EncodeToString(s.last.hash[:])
}

// sum holds what one look at the store sees against its own sum.
func (r *Report) sum(t *tx) error {
	get := func(key string, into func([]byte) error) error {
		b, _, err := t.get(key)
		if errors.Is(err, errAbsent) {
			return nil // nothing was ever applied, or the sum tells
		}
		if err == nil {
			err = into(b)
		}
		return err
	}
	st, sum := newState(), uint64(0)
	err := errors.Join(get(keyState, st.decode), get(keyHistory, st.remember), get(keyApplied, func(b []byte) error {
		a, err := decodeApplied(b)
		r.Applied = a.number
		return err
	}))
	for _, prefix := range []string{prefixSeq, prefixLink, prefixStray, keyHistory} {
		if err != nil {
			return err
		}
		err = t.scan(prefix, "", false, func(key string, value []byte, number uint64) (bool, error) {
			sum += share(key, number)
			if prefix != prefixSeq {
				return true, nil
			}
			_, err := decodeStanding(seqOf(key), value)
			return true, err
		})
	}
	if err == nil && sum != st.Sum {
		err = errors.New("what is in it does not fit its sum")
	}
	r.stands(&st)
	return err
}

// stands takes in where the queue stands.
func (r *Report) stands(st *state) {
	r.Number, r.Head, r.Cursor, r.Lost = st.Tail, st.Head, st.Cursor, nil
	for _, words := range st.Damaged {
		r.Lost = append(r.Lost, strings.TrimSpace(words))
	}
}

// readStore holds the store against the journal; it brings the copy level first.
func (r *Report) readStore(f *found, q *Queue) {
	path := filepath.Join(q.dir, storeName)
	err := error(nil)
	if there, _ := exists(path); !there {
		err = errors.New("it is missing")
	} else {
		err = f.openState(path, q)
	}
	if err == nil {
		r.Applied = f.through.number
		if r.Segments > 0 && r.Last < r.Applied {
			f.short = r.Last + 1
			r.damaged(journalName, f.short, r.Applied, "the store has them, the journal has not")
		}
		if r.Segments > 0 {
			if err = f.applyAgain(); err == nil {
				err = f.level()
			}
		}
	}
	if err == nil {
		err = q.examine(f)
	}
	if err == nil && f.sum != f.st.Sum {
		err = errors.New("what is in it does not fit its sum")
	}
	if err != nil {
		r.damaged(storeName, 0, 0, err.Error())
	}
	if f.seen != nil {
		r.Operations = f.held
		r.stands(&f.st)
	}
}

// Submitted is what the submit chain has at a number: the operation, and the head after
// it. What was pruned, or is of a past that was left, is not known.
func (q *Queue) Submitted(number uint64) (id, head string, known bool, err error) {
	r, st := q.reader()
	if head, known, err = r.head(&st, number); err != nil || !known {
		return "", "", false, err
	}
	if gen, _, atStart, ok := st.place(number); ok && !atStart {
		l, _, err := r.link(gen, number)
		return l.ID, head, true, err
	}
	return "", head, true, nil
}
