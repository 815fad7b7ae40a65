package offlinequeue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
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

// salvage makes a new store of what the one in aside ("": none) can still tell.
// Numbering goes on above the witness, so that no number is given twice.
func (q *Queue) salvage(aside string, f findings) error {
	if err := f.close(); err != nil {
		q.log.Warn("close damaged store", "dir", q.dir, "error", err)
	}
	made := filepath.Join(q.dir, newName)
	if err := os.RemoveAll(made); err != nil { // ours, and half made
		return err
	}
	to, err := openStore(made, q.log)
	if err != nil {
		return err
	}
	w := q.witness.last
	st := f.st.clone()
	var got copied
	err = q.fault("open:copy")
	if err == nil {
		got, err = copyReadable(to, aside, q.log)
	}
	if err == nil {
		known := st.Commit > 0
		if !known && got.st.Commit > 0 {
			st, known = got.st, true
		}
		if !known { // the state is lost: no number is known to stand
			st.Chains = []chain{{Gen: got.gen}}
		}
		if w.Number > st.Tail || !known {
			st.begin(max(w.Number, st.Tail), w.Head, st.Tail)
		}
		words := append(f.bad, missing(got.places, max(st.Seq, w.Seq), st.Seq-st.Held, known)...)
		st.Held = uint64(len(got.places))
		if aside != "" {
			words = append(words, "kept in "+aside)
		}
		st.Commit = max(st.Commit, w.Commit) + 1
		st.Seq = max(st.Seq, w.Seq, slices.Max(append(got.places, 0)))
		st.Damaged = append(st.Damaged, q.damage(strings.Join(words, "; ")))
		err = to.update(func(t *tx) error {
			b, err := frame(st)
			if err != nil {
				return err
			}
			return t.set(keyState, b)
		})
	}
	if err = errors.Join(err, to.close()); err != nil {
		return fmt.Errorf("copy %s: %w", aside, err)
	}
	path := filepath.Join(q.dir, storeName)
	if err := q.fault("open:rename"); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(made, path), syncDir(q.dir)); err != nil {
		return err
	}
	f = q.examine(path)
	if len(f.bad) > 0 {
		return errors.Join(fmt.Errorf("%w: %s", ErrDamaged, strings.Join(f.bad, "; ")), f.close())
	}
	return q.adopt(f)
}

// copied is what a damaged store could still tell.
type copied struct {
	places []uint64 // of the operations
	gen    uint32   // highest generation of the submit chain among them
	st     state    // zero if it cannot be read
}

// copyReadable copies every readable record of the store in aside ("": none).
func copyReadable(to *store, aside string, log *slog.Logger) (got copied, err error) {
	if aside == "" {
		return got, nil
	}
	from := aside
	var old *store
	if err = checkStore(from); err == nil {
		old, err = openStore(from, log)
	}
	if err != nil {
		from, log = filepath.Join(filepath.Dir(to.dir), rescueName), log.With("rescued", from)
		if err := rescue(from, aside, log); err != nil {
			return got, err
		}
		if old, err = openStore(from, log); err != nil {
			return got, err
		}
	}
	defer func() { _ = old.close() }() // nothing was written
	_ = old.view(func(t *tx) error {
		if b, err := t.get(keyState); err == nil {
			got.st, _ = decodeState(b) // else it stays zero
		}
		return nil
	})
	type pair struct {
		key   string
		value []byte
	}
	var batch []pair
	size := 0
	flush := func() error {
		err := to.update(func(t *tx) error {
			for _, p := range batch {
				if err := t.set(p.key, p.value); err != nil {
					return err
				}
			}
			return nil
		})
		batch, size = nil, 0
		return err
	}
	add := func(key string, value []byte) error {
		batch, size = append(batch, pair{key, value}), size+len(key)+len(value)
		if size > groupBytes || len(batch) > 2000 {
			return flush()
		}
		return nil
	}
	var writing error
	for _, prefix := range []string{prefixOp, prefixLink, prefixStray} {
		reading := old.view(func(t *tx) error {
			return t.scan(prefix, "", false, func(key string, value []byte) (bool, error) {
				if prefix == prefixOp {
					r, err := decodeRecord(key[len(prefixOp):], value)
					if err != nil {
						return true, nil
					}
					got.places, got.gen = append(got.places, r.Seq), max(got.gen, r.Gen)
					if writing = add(keySeq(r.Seq), []byte(r.ID)); writing != nil {
						return false, writing
					}
				}
				writing = add(key, value)
				return writing == nil, writing
			})
		})
		if writing != nil {
			return got, writing
		}
		if reading != nil {
			log.Warn("read damaged store", "dir", from, "error", reading)
		}
	}
	return got, flush()
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

// copySparse copies a file and leaves out blocks of zeros.
func copySparse(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	block, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; at += int64(len(block)) {
		n, err := io.ReadFull(in, block)
		if n > 0 && !bytes.Equal(block[:n], zero[:n]) {
			if _, err := out.WriteAt(block[:n], at); err != nil {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return out.Truncate(at + int64(n))
		}
		if err != nil {
			return err
		}
	}
}

// missing names every place up to the last that is not among those held. Of them
// so many were pruned in due time, if that is known; which ones is not.
func missing(held []uint64, last, pruned uint64, known bool) []string {
	slices.Sort(held)
	var gone []uint64
	next := uint64(1)
	for _, seq := range append(slices.Clip(held), last+1) {
		for ; next < seq; next++ {
			gone = append(gone, next)
		}
		next = seq + 1
	}
	if len(gone) == 0 || known && uint64(len(gone)) == pruned {
		return nil
	}
	words := []string{"missing: " + ranges(gone)}
	if !known {
		words = append(words, "some of these may have ended long ago and been pruned")
	} else if pruned > 0 {
		words = append(words, fmt.Sprintf("%d of these ended long ago and were pruned", pruned))
	}
	return words
}

// ranges writes rising numbers as "operations 3, 7 to 9".
func ranges(list []uint64) string {
	var b strings.Builder
	b.WriteString("operations ")
	if len(list) == 1 {
		b.Reset()
		b.WriteString("operation ")
	}
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, list[i])
		if j > i {
			fmt.Fprintf(&b, " to %d", list[j])
		}
		i = j + 1
	}
	return b.String()
}
