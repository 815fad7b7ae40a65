package offlinequeue

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
)

const (
	// Fewer operations than these are read as soon as the hint would be.
	hintLeast = 1 << 14
	// A hint is written when so much came into the journal since the last: at rest as
	// much as the hint has, and at least 1 MiB; under load four times that, and at least
	// 64 MiB. So it costs a fraction of what the journal does, and Open has little to
	// bring it on by.
	hintRest = 1 << 20
	hintLoad = 64 << 20
	// With more than these to be read from the state one by one there is no hint: after
	// headquarters was set back everything may be offered.
	lookMost = 1 << 12
)

// journalEnd is where the journal ends that the index has taken in.
type journalEnd struct {
	position
	segment uint64 // number of its first record
	at      int64
	bytes   int64 // of the journal, since the queue was opened
}

// hint is what memory knows now; nil: it would be of no use.
func (q *Queue) hint() (*hint, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	x := q.index
	h := &hint{position: q.end.position, hintHead: hintHead{
		Segment: q.end.segment, At: q.end.at, Seed: x.rest.seed, Strays: q.st.strays,
		Counts: cloneCounts(x.counts), Bytes: x.bytes, Ended: x.ended,
	}}
	if len(x.offered)+len(x.places) > lookMost {
		return nil, nil
	}
	for _, seq := range x.places {
		h.look = append(h.look, seq)
	}
	for _, e := range x.entries {
		if e.number > 0 {
			h.look = append(h.look, e.seq)
		} else if !e.parked {
			h.entries = append(h.entries, placedMark{e.seq, x.rest.mark(e.ref, dueOf(e.rank(), e.deadline), e.created)})
		}
	}
	h.blocks = x.rest.lend()
	var err error
	h.Chains, err = chainsHash(&q.st)
	return h, err
}

// keepHint writes a hint when that is worth it; closing: the queue is about to be
// closed.
func (q *Queue) keepHint(closing bool) {
	if q.whole || !q.checking().over() {
		return
	}
	q.hinting.Lock()
	defer q.hinting.Unlock()
	q.mu.Lock()
	upTo, held, blocks := q.end.bytes, int(q.st.Held), len(q.index.rest.blocks)
	grown, none := upTo-q.hinted, q.hinted < 0
	last := q.end.number
	q.mu.Unlock()
	if held < q.hintLeast {
		q.dropHint()
		return
	}
	need := max(hintLoad, int64(blocks)*blockBytes*4)
	if closing || q.overlayNow().appliedIs(last) {
		need = max(hintRest, int64(blocks)*blockBytes)
	}
	if !none && grown < min(need, q.hintGrowth) || !q.roomToApply() {
		return
	}
	h, err := q.hint()
	if err == nil && h != nil {
		err = q.writeHint(h)
	}
	if err != nil {
		q.log.Warn("keep what waits at hand", "dir", q.dir, "error", err)
		return
	}
	q.mu.Lock()
	q.hinted = upTo // what came meanwhile counts for the next
	q.mu.Unlock()
}

// writeHint puts a hint in the place of the one before.
func (q *Queue) writeHint(h *hint) (err error) {
	path := filepath.Join(q.dir, hintName)
	if err := q.fault("marks:write"); err != nil {
		return err
	}
	f, err := os.OpenFile(path+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(h.write(f, q.seal), f.Sync(), f.Close())
	if err == nil {
		err = q.fault("marks:rename")
	}
	if err == nil {
		err = os.Rename(path+newSuffix, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(path+newSuffix))
	}
	return syncDir(q.dir)
}

const newSuffix = ".new"

// dropHint removes a hint that is of no use.
func (q *Queue) dropHint() {
	for _, name := range []string{hintName, hintName + newSuffix} {
		if err := os.Remove(filepath.Join(q.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			q.log.Warn("remove marks", "dir", q.dir, "error", err)
		}
	}
}

// extend takes note of where the journal ends now; mu is held.
func (q *Queue) extend(end journalEnd) {
	end.bytes += q.end.bytes
	q.end = end
}

func cloneCounts(counts map[string]map[State]int) map[string]map[State]int {
	c := map[string]map[State]int{}
	for kind, states := range counts {
		c[kind] = maps.Clone(states)
	}
	return c
}
