package offlinequeue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

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
		err = to.setState(st)
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
