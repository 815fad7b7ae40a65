package offlinequeue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What is in a queue's directory:
//
//	format           the version of all this, in decimal
//	lock             held by the hub that uses it
//	witness          how far the store must reach
//	store/           Badger
//	rescue/          what a store that does not open can still tell, while it is copied
//	store.new/       a store being made of what another can still tell
//	before-open/     the store's logs as an unclean end left them, until they are judged
//	aside-<time>/    a damaged store, as it was found; never deleted
const (
	formatName = "format"
	lockName   = "lock"
	storeName  = "store"
	newName    = "store.new"
	rescueName = "rescue"
	logsName   = "before-open"
	asideName  = "aside-"

	format = 1
)

// checkFormat refuses what a newer program wrote, and marks a new directory.
func checkFormat(dir string) error {
	path := filepath.Join(dir, formatName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFile(path, []byte(strconv.Itoa(format)+"\n"))
	}
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("read %s: %q is no version", path, b)
	}
	if n > format {
		return fmt.Errorf("%w: it has format %d, this program knows %d", ErrTooNew, n, format)
	}
	return nil
}

// writeFile makes a file that is there whole or not at all.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// findings is what was seen of a store at Open.
type findings struct {
	store *store // nil: it could not be opened
	st    state
	index *index
	bad   []string // what is wrong with it, in words; none: it is whole
}

// load opens the store and holds it against its witness. A damaged store is set
// aside, and a new one made of what it can still tell.
func (q *Queue) load(witnessLost bool) error {
	path := filepath.Join(q.dir, storeName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		// An earlier setting aside may have been cut off in the middle.
		aside, err := q.newestAside()
		if err != nil {
			return err
		}
		if aside != "" || q.witness.last.Commit > 0 {
			f := findings{st: newState(), bad: []string{"the store is missing"}}
			if aside != "" {
				f = q.examine(aside)
			}
			return q.salvage(aside, f)
		}
	} else if err != nil {
		return err
	}
	if err := q.keepLogs(path); err != nil {
		return err
	}
	if err := q.fault("open:store"); err != nil {
		return err
	}
	f := q.examine(path)
	if err := environment(f); err != nil {
		return err
	}
	if len(f.bad) > 0 {
		aside := filepath.Join(q.dir, asideName+q.now().UTC().Format("20060102T150405.000000000"))
		if err := f.close(); err != nil {
			q.log.Warn("close damaged store", "dir", q.dir, "error", err)
		}
		if err := q.fault("open:aside"); err != nil {
			return err
		}
		if err := os.Rename(path, aside); err != nil {
			return err
		}
		logs := filepath.Join(q.dir, logsName)
		if err := os.Rename(logs, filepath.Join(aside, logsName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := syncDir(q.dir); err != nil {
			return err
		}
		return q.salvage(aside, f)
	}
	if witnessLost {
		f.st.Damaged = append(f.st.Damaged, q.damage("the witness cannot be read: whether the store lost its end is not known"))
		f.st.Commit++
		if err := f.store.setState(f.st); err != nil {
			return errors.Join(err, f.close())
		}
	}
	return q.adopt(f)
}

// environment is a reason why a store does not open that says nothing about
// the store.
func environment(f findings) error {
	if f.store != nil || len(f.bad) == 0 {
		return nil
	}
	for _, s := range []string{"permission denied", "too many open files", "no space left", "cannot allocate memory", "directory lock"} {
		if strings.Contains(strings.ToLower(f.bad[0]), s) {
			if s == "directory lock" {
				return ErrInUse
			}
			return errors.New(f.bad[0])
		}
	}
	return nil
}

// examine opens a store and reads all of it.
func (q *Queue) examine(path string) findings {
	err := checkStore(path)
	var s *store
	if err == nil {
		s, err = openStore(path, q.log)
	}
	if err != nil {
		return findings{st: newState(), bad: []string{fmt.Sprintf("the store does not open: %v", err)}}
	}
	f := findings{store: s, st: newState()}
	err = s.view(func(t *tx) error {
		b, err := t.get(keyState)
		if errors.Is(err, errAbsent) {
			return nil
		}
		if err == nil {
			f.st, err = decodeState(b)
		}
		if err != nil {
			f.st = newState()
		}
		return err
	})
	if err != nil {
		f.bad = append(f.bad, fmt.Sprintf("its state cannot be read: %v", err))
	}
	index, bad, err := readIndex(s, &f.st, q.now())
	f.index, f.bad = index, append(f.bad, bad...)
	if err != nil {
		f.bad = append(f.bad, fmt.Sprintf("it cannot be read to its end: %v", err))
	}
	w := q.witness.last
	if f.st.Commit < w.Commit {
		f.bad = append(f.bad, fmt.Sprintf("it ends at change %d of %d", f.st.Commit, w.Commit))
	}
	return f
}

// close closes the store, if it was opened.
func (f *findings) close() error {
	if f.store == nil {
		return nil
	}
	return f.store.close()
}

// adopt makes an examined store the queue's own.
func (q *Queue) adopt(f findings) error {
	m := mark{Commit: f.st.Commit, Seq: f.st.Seq, Number: f.st.Tail, Head: f.st.Head}
	err := q.fault("open:witness")
	if err == nil && q.witness.last != m {
		err = q.witness.write(m)
	}
	if err == nil {
		// Judged, and what is missing is said.
		err = errors.Join(os.RemoveAll(filepath.Join(q.dir, logsName)), os.RemoveAll(filepath.Join(q.dir, rescueName)))
	}
	if err != nil {
		return errors.Join(err, f.close())
	}
	q.mu.Lock()
	q.store, q.st, q.index = f.store, f.st, f.index
	q.mu.Unlock()
	q.broken = false
	return nil
}

// damage is one entry of Stats.Damaged.
func (q *Queue) damage(words string) string {
	words = q.now().UTC().Format(time.RFC3339) + ": " + words
	q.log.Error("queue damaged", "dir", q.dir, "what", words)
	return words
}

func (q *Queue) newestAside() (string, error) {
	found, err := filepath.Glob(filepath.Join(q.dir, asideName+"*"))
	if err != nil || len(found) == 0 {
		return "", err
	}
	return slices.Max(found), nil
}

// keepLogs copies the logs an unclean end left, since opening the store cuts
// them off at the first byte it cannot read.
func (q *Queue) keepLogs(path string) error {
	logs, err := unflushed(path)
	if err != nil {
		return err
	}
	// A log that was just being made has no length yet, and Badger refuses it.
	logs = slices.DeleteFunc(logs, func(name string) bool {
		info, e := os.Stat(name)
		if e != nil || info.Size() > 0 {
			return false
		}
		err = errors.Join(err, os.Remove(name))
		return true
	})
	if err != nil || len(logs) == 0 || q.witness.last.Commit == 0 {
		return err
	}
	to := filepath.Join(q.dir, logsName)
	if _, err := os.Stat(to); err == nil {
		return nil // of an Open that was cut off: the older copy is the truer one
	}
	tmp := to + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	for _, name := range logs {
		if err := copySparse(filepath.Join(tmp, filepath.Base(name)), name); err != nil {
			return err
		}
	}
	return os.Rename(tmp, to)
}
