package offlinequeue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// twins are two disks that ought to hold the same journal.
type twins struct {
	own, other disk
	live       bool
	words      []string // what was done that somebody should know
}

// level makes the two the same. What is whole on one is not overwritten with what is
// damaged on the other; one that holds another history is kept aside.
func (t *twins) level(size int64) (err error) {
	ours, err := openWhole(t.own, size)
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	defer func() { err = errors.Join(err, ours.close()) }()
	theirs, err := openWhole(t.other, size)
	if err != nil {
		return fmt.Errorf("read the second copy: %w", err)
	}
	defer func() { err = errors.Join(err, theirs.close()) }()
	same, ahead, err := related(ours, theirs)
	if err != nil {
		return err
	}
	if !same || ahead && t.live {
		return t.aside(theirs)
	}
	first := uint64(0)
	if len(ours.segments) > 0 {
		first = ours.segments[0].before.number
		if ahead {
			t.words = append(t.words, "the journal's end was missing and was taken from the second copy")
		}
	} else if ahead {
		t.words = append(t.words, "the journal was missing and was taken from the second copy")
	}
	for _, s := range theirs.segments {
		o := ours.named(s.name)
		switch {
		case o == nil && s.before.number < first: // given back here
			err = t.other.remove(s.name)
		case o == nil && t.live:
			err = t.other.remove(s.name)
		case o == nil:
			err = copyFile(t.own, t.other, s.name)
		case !t.live && len(s.bad) == 0 && (len(o.bad) > 0 || s.last.number > o.last.number):
			if len(o.bad) > 0 {
				t.words = append(t.words, "a part of the journal was damaged and was taken from the second copy")
			}
			err = copyFile(t.own, t.other, s.name)
		}
		if err != nil {
			return err
		}
	}
	return t.copyAll()
}

// copyAll copies the journal to the other disk, as far as it is not there.
func (t *twins) copyAll() error {
	names, err := t.own.list()
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, segmentSuffix) {
			if err := copyFile(t.other, t.own, name); err != nil {
				return err
			}
		}
	}
	return errors.Join(t.own.sync(), t.other.sync())
}

// aside keeps a second copy of another history under other names.
func (t *twins) aside(theirs *journal) error {
	prefix := asideName + time.Now().UTC().Format("20060102T150405") + "-"
	for _, s := range theirs.segments {
		if err := t.other.rename(s.name, prefix+s.name); err != nil {
			return err
		}
	}
	t.words = append(t.words, fmt.Sprintf("the second copy held another history; it is kept there as %s*: compare it with headquarters", prefix))
	return t.copyAll()
}

func (j *journal) named(name string) *segment {
	for _, s := range j.segments {
		if s.name == name {
			return s
		}
	}
	return nil
}

// openWhole opens a journal and reads all of it.
func openWhole(d disk, size int64) (*journal, error) {
	j, err := openJournal(d, size, nil)
	if err != nil {
		return nil, err
	}
	var before *position
	for i, s := range j.segments {
		if err := s.scan(before, i+1 == len(j.segments)); err != nil {
			return nil, errors.Join(err, j.close())
		}
		before = &s.last
		j.last = s.last
	}
	return j, nil
}

// related reports whether one journal is the other's beginning, and whether theirs
// goes further. Nothing is related to anything.
func related(ours, theirs *journal) (same, ahead bool, err error) {
	if len(ours.segments) == 0 || len(theirs.segments) == 0 {
		return true, len(theirs.segments) > 0, nil
	}
	ahead = theirs.last.number > ours.last.number
	// The newest record that both can read.
	for i := len(theirs.segments) - 1; i >= 0; i-- {
		s := theirs.segments[i]
		o := ours.named(s.name)
		if o == nil {
			continue
		}
		known := map[uint64][32]byte{}
		err := o.each(0, func(_ *segment, r journalRecord) error { known[r.number] = r.hash; return nil })
		if err != nil {
			return false, false, err
		}
		met, equal := false, true
		err = s.each(0, func(_ *segment, r journalRecord) error {
			if h, ok := known[r.number]; ok {
				met, equal = true, equal && h == r.hash
			}
			return nil
		})
		if err != nil {
			return false, false, err
		}
		if met {
			return equal, ahead, nil
		}
		if s.before == o.before && s.before.hash != [32]byte{} {
			return true, ahead, nil // no record yet, or none that can be read
		}
	}
	return false, ahead, nil
}

// copyFile makes a file on one disk that of another, and flushes it. What is the same
// is not written.
func copyFile(to, from disk, name string) (err error) {
	in, err := from.open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := to.open(name)
	fresh := err != nil || out.size() != in.size()
	if fresh {
		if err == nil {
			err = out.Close()
		}
		const copying = "copying" // it has its name when it is whole
		if out, err = to.create(copying, in.size()); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = errors.Join(to.rename(copying, name), to.sync())
			}
		}()
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	a, b := make([]byte, windowSize), make([]byte, windowSize)
	wrote := false
	for at := int64(0); at < in.size(); at += int64(len(a)) {
		n, m := 0, 0
		if n, err = in.ReadAt(a, at); err != nil && err != io.EOF {
			return err
		}
		if m, err = out.ReadAt(b, at); err != nil && err != io.EOF {
			return err
		}
		if bytes.Equal(a[:n], b[:m]) {
			continue
		}
		wrote = true
		if _, err = out.WriteAt(a[:n], at); err != nil {
			return err
		}
	}
	if !wrote && !fresh {
		return nil
	}
	return out.flush()
}
