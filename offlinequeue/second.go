package offlinequeue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What is at the place of the second copy:
//
//	owner        whose queue it is
//	format, key  as in the queue's own directory
//	journal/     the same segments; aside-… are those of another history
const ownerName = "owner"

// ErrMirror says that nothing new is promised, because the second copy is away.
var ErrMirror = errors.New("the second copy cannot be written")

// MirrorStats says how the second copy is.
type MirrorStats struct {
	Path  string    // "": there is to be none
	Away  string    // why nothing new is promised; "": it has everything
	Since time.Time // away since
}

// mirrorPlace is the other disk of a queue that is to have two.
func (q *Queue) mirrorPlace(dir, owner string) disk {
	return newMirror(q.disk, osDisk(filepath.Join(dir, journalName)), func() error {
		return q.lookAtMirror(dir, owner)
	})
}

// lookAtMirror makes sure that dir is there, is another disk than the queue's, and
// belongs to that owner. A stick that is not in leaves its place behind, empty and on
// the hub's own disk.
func (q *Queue) lookAtMirror(dir, owner string) error {
	if info, err := os.Stat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is no directory", dir)
	}
	if same, err := sameDisk(dir, q.dir); err != nil {
		return err
	} else if same {
		return fmt.Errorf("%s is on the queue's own disk: nothing is mounted there", dir)
	}
	if _, err := readFormat(dir); err != nil {
		return err
	}
	path := filepath.Join(dir, ownerName)
	b, err := os.ReadFile(path)
	switch {
	case err == nil && strings.TrimSpace(string(b)) != owner:
		return fmt.Errorf("it holds the queue of %q, this is %q; use another place, or empty it", strings.TrimSpace(string(b)), owner)
	case errors.Is(err, fs.ErrNotExist):
		if q.seal != nil {
			err = writeID(dir, q.seal.id)
		} else {
			err = nil
		}
		err = errors.Join(err, writeFile(path, []byte(owner+"\n")), writeFormat(dir, q.seal != nil))
	case err == nil:
		err = q.unlockMirror(dir)
	}
	return errors.Join(err, os.MkdirAll(filepath.Join(dir, journalName), 0o700))
}

// mirrorNow is nil without a second copy.
func (q *Queue) mirrorNow() *mirror {
	m, _ := q.disk.(*mirror)
	return m
}

// twice is ErrMirror while the second copy lacks something. What is answered without
// it is on both disks.
func (q *Queue) twice() error {
	m := q.mirrorNow()
	if m == nil {
		return nil
	}
	if why := m.why(); why != nil {
		return fmt.Errorf("%w: %w", ErrMirror, why)
	}
	return nil
}

// join has the second copy brought level; of the writer alone.
func (q *Queue) join(live bool) {
	m := q.mirrorNow()
	if m == nil || live && m.why() == nil {
		return
	}
	words, err := m.join(q.segmentSize, live)
	for _, w := range words {
		q.healed(w)
	}
	said := ""
	if err != nil {
		said = err.Error()
	}
	if said != q.mirrorSaid {
		if err != nil {
			q.log.Error("the second copy is away: nothing new is promised", "dir", q.dir, "error", err)
		} else {
			q.log.Info("the second copy is level again", "dir", q.dir)
		}
	}
	q.mirrorSaid = said
}

// seek looks for a second copy that is away, until the queue is closed.
func (q *Queue) seek() {
	m := q.mirrorNow()
	if m.why() == nil {
		return
	}
	err := q.doLater("mirror", func(*change) error { q.join(true); return nil })
	if err != nil && !errors.Is(err, ErrClosed) {
		q.log.Warn("look for the second copy", "dir", q.dir, "error", err)
	}
}

func (q *Queue) mirrorStats() MirrorStats {
	m := q.mirrorNow()
	if m == nil {
		return MirrorStats{}
	}
	s := MirrorStats{Path: q.mirrorDir}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away != nil {
		s.Away, s.Since = m.away.Error(), m.since
	}
	return s
}
