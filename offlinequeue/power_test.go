package offlinequeue

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// The claim is power: whatever moment it goes, at every step that the journal takes
// of its disk, what was acknowledged is there; and nobody calls it damage. Badger may
// be as it was, be gone, or be as it was a while before.
func TestNothingAcknowledgedIsLostWhenThePowerGoes(t *testing.T) {
	seed := rand.Uint64()
	luck := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	run := func(dir string, d *forgetful) (acks map[string]Op, older string) {
		acks = map[string]Op{}
		q, err := openAs(dir, Options{Log: quiet(), disk: d, segmentSize: 600 << 10})
		if err != nil {
			return acks, ""
		}
		defer func() { _ = q.Close() }()
		seq := uint64(0)
		for i := range 12 {
			op := capture(fmt.Sprint("op", i), fmt.Sprint(i%3))
			op.Data = fmt.Appendf(nil, `"%0*d"`, 100+(i%4)*60000, i)
			if got, err := q.Put(t.Context(), op); err == nil {
				acks[op.ID] = got
			} else if !errors.Is(err, errPower) {
				t.Errorf("put: %v", err)
			}
			if i%3 == 2 {
				id := fmt.Sprint("op", i-1)
				seq++
				if q.Settle(t.Context(), Cursor{Epoch: "", Seq: seq}, []Outcome{{Seq: seq, ID: id, State: Succeeded}}) == nil {
					if got := acks[id]; got.ID != "" {
						got.State = Succeeded
						acks[id] = got
					}
				}
			}
			if i == 5 && q.level() == nil {
				older = filepath.Join(t.TempDir(), "older")
				if err := duplicated(older, filepath.Join(dir, storeName)); err != nil {
					t.Error(err)
				}
			}
		}
		return acks, older
	}
	whole := newForgetful()
	run(t.TempDir(), whole)
	steps, stride := whole.steps, 1
	if small() {
		stride = 11
	}
	t.Logf("%d steps", steps)
	for dies := 1; dies <= steps; dies += stride {
		dir := t.TempDir()
		d := newForgetful()
		d.dies = dies
		acks, older := run(dir, d)
		store := filepath.Join(dir, storeName)
		switch kind := dies % 3; {
		case kind == 1:
			if err := os.RemoveAll(store); err != nil {
				t.Fatal(err)
			}
		case kind == 2 && older != "":
			if err := errors.Join(os.RemoveAll(store), duplicated(store, older)); err != nil {
				t.Fatal(err)
			}
		}
		q, err := openAs(dir, Options{Log: quiet(), disk: d.power(luck), segmentSize: 600 << 10})
		if err != nil {
			t.Fatalf("step %d: %v", dies, err)
		}
		for id, want := range acks {
			got, err := q.Get(id)
			if err != nil || got.Seq != want.Seq || rank[got.State] < rank[want.State] {
				t.Errorf("step %d of %d: %s: place %d, %s (%v); was place %d, %s", dies, steps, id, got.Seq, got.State, err, want.Seq, want.State)
			}
		}
		if damaged := q.Stats().Damaged; len(damaged) > 0 && len(acks) > 0 {
			t.Errorf("step %d: damaged: %q", dies, damaged)
		}
		put(t, q, capture("next", "pi"))
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			return
		}
	}
}

// A record that was cut off at any byte is cut away, without a word: nobody was told.
// Those before it stay.
func TestATornTailIsCutAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	d := newForgetful()
	o := Options{Log: quiet(), disk: d, segmentSize: 600 << 10}
	q := opened(t, dir, o)
	for i := range 3 {
		put(t, q, capture(fmt.Sprint("op", i), "pi"))
	}
	closed(t, q)
	names, err := d.list()
	if err != nil {
		t.Fatal(err)
	}
	f := d.names[names[0]]
	j, err := openJournal(d, d.names[names[0]].size(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := j.segments[0]
	if err := s.scan(nil, true); err != nil {
		t.Fatal(err)
	}
	var last journalRecord
	if err := s.each(0, func(_ *segment, r journalRecord) error { last = r; return nil }); err != nil {
		t.Fatal(err)
	}
	from, to := int(last.at), int(s.end)
	for cut := from; cut < to; cut++ {
		torn := newForgetful()
		kept := append([]byte(nil), f.content...)
		clear(kept[cut:])
		torn.names[names[0]] = &forgetfulFile{disk: torn, content: kept, durable: append([]byte(nil), kept...), dirty: map[int]bool{}}
		j, err := openJournal(torn, s.size(), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := j.segments[0]
		if err := got.scan(nil, true); err != nil {
			t.Fatal(err)
		}
		if int(got.end) != from {
			t.Errorf("cut at %d: the journal ends at %d, want %d", cut-from, got.end, from)
		}
		if got.last.number < last.number-1 || got.last.number > last.number {
			t.Errorf("cut at %d: the last record is %d of %d", cut-from, got.last.number, last.number)
		}
	}
}

// A disk that is full refuses what is new, and loses nothing; when there is room
// again it goes on.
func TestAFullDiskRefusesAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	d := newForgetful()
	q := opened(t, dir, Options{disk: d, segmentSize: 600 << 10})
	acks := map[string]Op{}
	refused := 0
	for i := range 40 {
		d.mu.Lock()
		d.full = i < 30
		d.mu.Unlock()
		op := capture(fmt.Sprint("op", i), "pi")
		op.Data = fmt.Appendf(nil, `"%0100000d"`, i)
		got, err := q.Put(t.Context(), op)
		switch {
		case err == nil:
			acks[op.ID] = got
		case errors.Is(err, ErrFull):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if refused == 0 || len(acks) < 10 {
		t.Errorf("%d refused, %d stored", refused, len(acks))
	}
	intact(t, q, acks)
	closed(t, q)
	intact(t, opened(t, dir, Options{disk: d, segmentSize: 600 << 10}), acks)
}
