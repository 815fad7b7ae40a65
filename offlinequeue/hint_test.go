package offlinequeue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// hinted has a queue keep a hint however little it holds.
func hinted(o Options) Options {
	o.hintLeast, o.hintGrowth, o.window = 1, 1, 4
	return o
}

// situations fills a queue with operations in every situation that a hint tells of, and
// returns what was promised.
func situations(t *testing.T, q *Queue) (map[string]Op, *headquarters) {
	t.Helper()
	for i := range 300 {
		op := capture(fmt.Sprintf("op%03d", i), fmt.Sprint("ref", i%17))
		op.Money, op.Created = i%3 > 0, monday.Add(time.Duration(i)*time.Minute)
		if i%5 > 0 {
			op.Deadline = op.Created.Add(time.Duration(300-i%50) * time.Hour)
		}
		put(t, q, op)
	}
	hq := newHeadquarters()
	for range 3 {
		if _, err := q.send(t.Context(), hq, 10); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, q, Cursor{Epoch: hq.epoch, Seq: 3},
		Outcome{Seq: 1, ID: hq.ids()[0], State: Succeeded},
		Outcome{Seq: 2, ID: hq.ids()[1], State: Failed, Reason: "expired"},
		Outcome{Seq: 3, ID: "never came", State: Succeeded})
	if _, err := q.batch(t.Context(), 5, ""); err != nil { // numbered, and no receipt came
		t.Fatal(err)
	}
	err := q.do(t.Context(), "park", 0, func(c *change) error {
		old, err := c.load("op299")
		if err != nil {
			return err
		}
		r := *old
		r.Parked = &Parked{Since: c.now, Reason: "invalid_field"}
		c.save(old, &r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return everything(t, q), hq
}

func everything(t *testing.T, q *Queue) map[string]Op {
	t.Helper()
	all := map[string]Op{}
	for op, err := range q.All() {
		if err != nil {
			t.Fatal(err)
		}
		all[op.ID] = op
	}
	return all
}

// byHint opens a queue and wants it to have been opened by its hint, rightly.
func byHint(t *testing.T, dir string, o Options) *Queue {
	t.Helper()
	q := opened(t, dir, hinted(o))
	c := q.checking()
	if c == nil {
		t.Fatal("all of it was read at once")
	}
	if err := c.wait(); err != nil {
		t.Fatal(err)
	}
	return q
}

// leaves is all that is left, in the order in which it is offered.
func leaves(t *testing.T, q *Queue) (ids []string) {
	t.Helper()
	hq := newHeadquarters()
	hq.epoch = q.Cursor().Epoch
	for {
		b, err := q.batch(t.Context(), 20, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Ops) == 0 {
			return ids
		}
		for _, op := range b.Ops {
			ids = append(ids, op.ID)
		}
		if _, err := q.receive(t.Context(), b, Receipt{}, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// A queue that is opened by its hint knows what one knows that read everything, and
// offers it in the same order; whatever the journal has behind the hint.
func TestAHintSaysWhatAllOfTheStateSays(t *testing.T) {
	for _, later := range []bool{false, true} {
		t.Run(fmt.Sprint("the journal went on: ", later), func(t *testing.T) {
			live, dir, other := t.TempDir(), t.TempDir(), t.TempDir()
			q := opened(t, live, hinted(Options{}))
			acks, hq := situations(t, q)
			q.keepHint(false)
			if later {
				late := capture("late", "ref1")
				late.Created = monday // of what is put just now, when it is read counts
				put(t, q, late)
				settle(t, q, Cursor{Epoch: q.Cursor().Epoch, Seq: 5},
					Outcome{Seq: 4, ID: "op200", State: Succeeded}, Outcome{Seq: 5, ID: "neither", State: Succeeded})
				if _, err := q.send(t.Context(), hq, 7); err != nil {
					t.Fatal(err)
				}
				if _, err := q.batch(t.Context(), 9, ""); err != nil {
					t.Fatal(err)
				}
				acks = everything(t, q)
			}
			want := q.Stats()
			if err := errors.Join(q.level(), duplicated(dir, live), duplicated(other, live)); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(other, hintName)); err != nil {
				t.Fatal(err)
			}
			whole := opened(t, other, Options{})
			if whole.checking() != nil {
				t.Fatal("there was a hint")
			}
			q = byHint(t, dir, Options{})
			intact(t, q, acks)
			got := q.Stats()
			for _, s := range []*Stats{&got, &want} {
				s.Bytes = 0
			}
			equal(t, "stats", got, want)
			if why := q.fits(); why != "" {
				t.Error(why)
			}
			equal(t, "left", leaves(t, q), leaves(t, whole))
			for _, id := range []string{"never came", "neither"} {
				if op := put(t, q, capture(id, "new")); later && op.State != Succeeded || !later && id == "never came" && op.State != Succeeded {
					t.Errorf("%s: %+v", id, op)
				}
			}
		})
	}
}

// A hint is never a truth: without it, with one that has rotted at any byte, with one that
// is cut off, or of another queue, everything is there.
func TestAHintThatIsLostOrDamagedLosesNothing(t *testing.T) {
	live := t.TempDir()
	q := opened(t, live, hinted(Options{}))
	acks, _ := situations(t, q)
	closed(t, q)
	good, err := os.ReadFile(filepath.Join(live, hintName))
	if err != nil {
		t.Fatal(err)
	}
	read := func(b []byte) error {
		_, err := readHint(bytes.NewReader(b), q.seal)
		return err
	}
	if err := read(good); err != nil {
		t.Fatal(err)
	}
	for at := range good {
		b := bytes.Clone(good)
		b[at] ^= 0x10
		if err := read(b); !errors.Is(err, errHint) {
			t.Fatalf("byte %d flipped: %v", at, err)
		}
		if err := read(good[:at]); !errors.Is(err, errHint) {
			t.Fatalf("cut off at %d: %v", at, err)
		}
	}
	flipped := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 0x10
		return b
	}
	for name, b := range map[string][]byte{
		"deleted": nil, "empty": {}, "cut off": good[:len(good)/2], "too long": append(bytes.Clone(good), 0),
		"another format": flipped(0), "another place": flipped(8), "rotten": flipped(len(good) * 2 / 3),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := duplicated(dir, live); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, hintName)
			if b == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			q := opened(t, dir, hinted(Options{}))
			if q.checking() != nil {
				t.Error("it was believed")
			}
			intact(t, q, acks)
			closed(t, q)
			intact(t, byHint(t, dir, Options{}), acks)
		})
	}
}

// An older hint beside a newer journal is brought on by the journal; one of numbers that
// do not stand any more, or of another journal, is not used.
func TestAnOlderHintIsBroughtOnOrNotUsed(t *testing.T) {
	dir := t.TempDir()
	q := opened(t, dir, hinted(Options{}))
	situations(t, q)
	closed(t, q)
	old, err := os.ReadFile(filepath.Join(dir, hintName))
	if err != nil {
		t.Fatal(err)
	}
	again := func() *Queue {
		t.Helper()
		closed(t, q)
		if err := os.WriteFile(filepath.Join(dir, hintName), old, 0o600); err != nil {
			t.Fatal(err)
		}
		q = opened(t, dir, hinted(Options{}))
		return q
	}
	q = byHint(t, dir, Options{})
	put(t, q, capture("late", "ref3"))
	acks := everything(t, q)
	if c := again().checking(); c == nil || c.wait() != nil {
		t.Error("one that is a little older was not used")
	}
	intact(t, q, acks)
	// Headquarters was set back: other numbers stand.
	if err := q.enter(t.Context(), Cursor{Epoch: "another"}); err != nil {
		t.Fatal(err)
	}
	acks = everything(t, q)
	if again().checking() != nil {
		t.Error("one of other numbers was used")
	}
	intact(t, q, acks)
	closed(t, q)
	if err := os.RemoveAll(filepath.Join(dir, journalName)); err != nil {
		t.Fatal(err)
	}
	if again().checking() != nil {
		t.Error("one of another journal was used")
	}
	intact(t, q, acks)
}

// Each step of writing a hint may fail; nobody is refused for it, and the one before, or
// none, is there.
func TestWritingAHintMayFail(t *testing.T) {
	for _, step := range []string{"marks:write", "marks:rename"} {
		for _, before := range []bool{false, true} {
			dir := t.TempDir()
			var armed atomic.Bool
			armed.Store(!before)
			q := opened(t, dir, hinted(Options{Fault: func(s string) error {
				if armed.Load() && s == step {
					return errInjected
				}
				return nil
			}}))
			put(t, q, capture("first", "a"))
			q.keepHint(false)
			armed.Store(true)
			put(t, q, capture("second", "b"))
			acks := everything(t, q)
			q.keepHint(false)
			closed(t, q)
			q = opened(t, dir, hinted(Options{}))
			if by := q.checking() != nil; by != before {
				t.Errorf("%s: opened by a hint: %v, there was one: %v", step, by, before)
			}
			intact(t, q, acks)
		}
	}
}

// What Badger lost without a word is missed by the check, and made good from the journal;
// until then nobody is told that it is not there, and nothing is put in its place.
func TestWhatTheStoreLostIsMissedBehindAHint(t *testing.T) {
	for _, lost := range []string{"all of an operation", "how it stands", "what was asked for"} {
		t.Run(lost, func(t *testing.T) {
			dir := t.TempDir()
			q := opened(t, dir, hinted(Options{}))
			acks, _ := situations(t, q)
			closed(t, q)
			s, err := openStore(filepath.Join(dir, storeName), quiet(), q.seal.storeKey())
			if err != nil {
				t.Fatal(err)
			}
			err = s.update(func(t *tx) error {
				if lost != "how it stands" {
					if err := t.delete(keyOp("op250")); err != nil {
						return err
					}
				}
				if lost != "what was asked for" {
					return t.delete(keySeq(acks["op250"].Seq))
				}
				return nil
			})
			if err := errors.Join(err, s.close()); err != nil {
				t.Fatal(err)
			}
			q = opened(t, dir, hinted(Options{}))
			op := capture("op250", "ref12")
			op.Hash = "another"
			for {
				_, err := q.Put(t.Context(), op)
				if errors.Is(err, ErrReused) {
					break
				}
				if !errors.Is(err, errDoubt) {
					t.Fatalf("put with another hash: %v", err)
				}
			}
			equal(t, "op250", get(t, q, "op250"), acks["op250"])
			intact(t, q, acks)
			if len(q.Stats().Healed) == 0 {
				t.Error("nobody was told")
			}
		})
	}
}

// A queue that is closed, or fails, while all of it is read is not held up by that.
func TestACheckEndsWithItsQueue(t *testing.T) {
	dir := t.TempDir()
	q := opened(t, dir, hinted(Options{}))
	acks, _ := situations(t, q)
	for range 3 {
		closed(t, q)
		q = opened(t, dir, hinted(Options{}))
	}
	if err := q.doLater("look", func(*change) error { return trouble(errInjected) }); !errors.Is(err, errInjected) {
		t.Error(err)
	}
	intact(t, q, acks)
}

// FuzzReadHint reads anything as a hint: it is refused, or written again the same.
func FuzzReadHint(f *testing.F) {
	k := newMarks()
	k.put(3, mark{ref: 1 << 40, due: 7, born: 9})
	h := &hint{position: position{number: 5}, look: []uint64{2}, entries: []placedMark{{4, mark{1, 2, 3}}}, blocks: []block{{first: 128, n: 1, marks: k}}}
	h.Counts = map[string]map[State]int{"capture": {Pending: 2}}
	var b bytes.Buffer
	if err := h.write(&b, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:hintBytes])
	f.Add([]byte(hintBegin))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := readHint(bytes.NewReader(raw), nil)
		if err != nil {
			return
		}
		var once, twice bytes.Buffer
		if err := h.write(&once, nil); err != nil {
			t.Fatal(err)
		}
		again, err := readHint(bytes.NewReader(once.Bytes()), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.write(&twice, nil); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(once.Bytes(), twice.Bytes()) {
			t.Error("it is another after it was written and read")
		}
	})
}
