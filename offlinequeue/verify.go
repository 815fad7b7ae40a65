package offlinequeue

import (
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
	Hash     string `json:"hash"`    // of the journal's chain at Last
	Applied  uint64 `json:"applied"` // the store has the journal up to here

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
func Verify(dir string) (Report, error) {
	r, err := verify(dir)
	if err != nil {
		return r, fmt.Errorf("verify queue %s: %w", dir, err)
	}
	return r, nil
}

func verify(dir string) (r Report, err error) {
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
		err = duplicateFiles(copied, dir)
	}
	if err = errors.Join(err, lock.Close()); err != nil {
		return r, err
	}
	f := &found{}
	defer func() { err = errors.Join(err, f.close()) }()
	if f.journal, err = openJournal(osDisk(filepath.Join(copied, journalName)), segmentSize); err != nil {
		return r, err
	}
	if err := r.readJournal(f); err != nil {
		return r, err
	}
	r.readStore(f, copied)
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
		for _, g := range s.bad {
			why := "the records cannot be read"
			if g.from > g.to {
				why = "its head cannot be read"
			}
			r.damaged(s.name, g.from, g.to, why)
		}
	}
	r.Segments = len(f.journal.segments)
	r.First = f.journal.segments[0].before.number + 1
	r.Last, r.Hash = f.journal.last.number, hex.EncodeToString(f.journal.last.hash[:])
	return nil
}

// readStore holds the store against the journal; it brings the copy level first.
func (r *Report) readStore(f *found, copied string) {
	q := &Queue{dir: copied, log: slog.New(slog.DiscardHandler), now: time.Now}
	path := filepath.Join(copied, storeName)
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
		r.Number, r.Head, r.Cursor = f.st.Tail, f.st.Head, f.st.Cursor
		for _, words := range f.st.Damaged {
			r.Lost = append(r.Lost, strings.TrimSpace(words))
		}
	}
}
