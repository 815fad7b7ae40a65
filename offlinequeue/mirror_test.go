package offlinequeue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// mirrored is a queue with its journal on two disks.
func mirrored(t *testing.T, dir string, own, other disk) *Queue {
	t.Helper()
	return opened(t, dir, Options{disk: own, mirror: other, segmentSize: 600 << 10})
}

// The claim is the second copy: what was acknowledged is on both. The power goes at
// any step of either; then the hub's own disk, Badger with it, is gone for good.
func TestWhatIsAcknowledgedIsOnBothDisks(t *testing.T) {
	seed := rand.Uint64()
	luck := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	run := func(own, other *forgetful) (acks map[string]Op) {
		acks = map[string]Op{}
		q, err := openAs(t.TempDir(), Options{Log: quiet(), disk: own, mirror: other, segmentSize: 600 << 10})
		if err != nil {
			return acks
		}
		defer func() { _ = q.Close() }()
		for i := range 8 {
			op := capture(fmt.Sprint("op", i), fmt.Sprint(i%3))
			op.Data = fmt.Appendf(nil, `"%0*d"`, 100+(i%4)*60000, i)
			if got, err := q.Put(t.Context(), op); err == nil {
				acks[op.ID] = got
			} else if !errors.Is(err, errPower) {
				t.Errorf("put: %v", err)
			}
		}
		return acks
	}
	whole, copied := newForgetful(), newForgetful()
	if acks := run(whole, copied); len(acks) != 8 {
		t.Fatalf("%d acknowledged on two good disks", len(acks))
	}
	stride := 4
	switch {
	case small():
		stride = 17
	case *soak:
		stride = 1
	}
	for which := range 2 {
		for dies := 1; dies <= copied.steps; dies += stride {
			disks := [2]*forgetful{newForgetful(), newForgetful()}
			disks[which].dies = dies
			acks := run(disks[0], disks[1])
			left := disks[1].power(luck)
			q, err := openAs(t.TempDir(), Options{Log: quiet(), disk: newForgetful(), mirror: left, segmentSize: 600 << 10})
			if err != nil {
				t.Fatalf("disk %d, step %d: %v", which, dies, err)
			}
			intact(t, q, acks)
			if err := q.Close(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Fatalf("disk %d, step %d of %d", which, dies, copied.steps)
			}
		}
	}
}

// A second copy that is away: nothing new is promised, all else goes on, and it is
// said. It is brought level before it counts.
func TestASecondCopyThatIsAwayIsSaidAndComesBackLevel(t *testing.T) {
	own, other := newForgetful(), newForgetful()
	dir := t.TempDir()
	q := mirrored(t, dir, own, other)
	acknowledged := map[string]Op{"op1": put(t, q, capture("op1", "1")), "op2": put(t, q, capture("op2", "2"))}
	equal(t, "level", q.Stats().Mirror.Away, "")

	other.pull(true)
	if _, err := q.Put(t.Context(), capture("op3", "3")); !errors.Is(err, ErrMirror) {
		t.Errorf("put while the copy is away: %v, want ErrMirror", err)
	}
	// The till asks again: it is on one disk alone.
	for _, id := range []string{"op3", "op4"} {
		if _, err := q.Put(t.Context(), capture(id, "3")); !errors.Is(err, ErrMirror) {
			t.Errorf("put again while the copy is away: %v, want ErrMirror", err)
		}
	}
	if m := q.Stats().Mirror; !strings.Contains(m.Away, errPower.Error()) || m.Since.IsZero() {
		t.Errorf("nobody is told: %+v", m)
	}
	hq := newHeadquarters()
	stop := running(t, q, hq)
	accepted(t, q, 3)
	stop()
	settle(t, q, Cursor{Epoch: hq.epoch, Seq: 1}, Outcome{Seq: 1, ID: "op1", State: Succeeded})
	acknowledged["op3"] = put(t, q, capture("op3", "3")) // headquarters has it

	q.seek()
	if q.Stats().Mirror.Away == "" {
		t.Error("level without a disk")
	}
	other.pull(false)
	q.seek()
	equal(t, "level again", q.Stats().Mirror.Away, "")
	acknowledged["op4"] = put(t, q, capture("op4", "3"))
	intact(t, q, acknowledged)

	// And now the other one is all there is.
	after := mirrored(t, t.TempDir(), newForgetful(), other)
	intact(t, after, acknowledged)
	equal(t, "outcome", get(t, after, "op1").State, Succeeded)
	if h := after.Stats().Healed; len(h) == 0 || !strings.Contains(h[0], "second copy") {
		t.Errorf("nobody was told: %q", h)
	}
}

// pull has every step fail, or work again.
func (d *forgetful) pull(out bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dies, d.out = 0, out
	if out {
		d.dies = d.steps + 1
	}
}

// slow is a disk whose flushes wait.
type slow struct {
	*forgetful
	gate chan struct{}
}

type slowFile struct {
	file
	gate chan struct{}
}

func (d slow) create(name string, size int64) (file, error) {
	f, err := d.forgetful.create(name, size)
	return slowFile{f, d.gate}, err
}

func (d slow) open(name string) (file, error) {
	f, err := d.forgetful.open(name)
	return slowFile{f, d.gate}, err
}

func (f slowFile) flush() error {
	<-f.gate
	return f.file.flush()
}

// A share that hangs holds up one request, once.
func TestASecondCopyThatHangsIsAway(t *testing.T) {
	other := slow{newForgetful(), make(chan struct{})}
	close(other.gate)
	hangs := &other
	own := newForgetful()
	q := mirrored(t, t.TempDir(), own, hangs)
	put(t, q, capture("op1", "1"))
	gate := make(chan struct{})
	m := q.mirrorNow()
	m.mu.Lock()
	m.limit = 10 * time.Millisecond
	for f := range m.files {
		if f.other != nil {
			f.other = slowFile{f.other.(slowFile).file, gate}
		}
	}
	m.mu.Unlock()
	if _, err := q.Put(t.Context(), capture("op2", "2")); !errors.Is(err, ErrMirror) {
		t.Errorf("put while the copy hangs: %v, want ErrMirror", err)
	}
	settle(t, q, Cursor{Epoch: "e", Seq: 1}, Outcome{Seq: 1, ID: "op1", State: Succeeded})
	q.seek()
	if away := q.Stats().Mirror.Away; !strings.Contains(away, "no answer") {
		t.Errorf("away: %q", away)
	}
	close(gate)
	m.mu.Lock()
	m.limit = mirrorLimit
	m.mu.Unlock()
	eventually(t, func() bool { q.seek(); return q.Stats().Mirror.Away == "" })
	put(t, q, capture("op2", "2"))
}

// What has rotted in the journal, and is not in Badger, is taken from the second copy.
func TestWhatHasRottedIsTakenFromTheSecondCopy(t *testing.T) {
	dir := t.TempDir()
	own, other := newForgetful(), newForgetful()
	q := mirrored(t, dir, own, other)
	acknowledged := map[string]Op{}
	for i := range 10 {
		id := fmt.Sprint("op", i)
		acknowledged[id] = put(t, q, capture(id, "pi"))
	}
	closed(t, q)
	if err := os.RemoveAll(filepath.Join(dir, storeName)); err != nil {
		t.Fatal(err)
	}
	names, err := own.list()
	if err != nil {
		t.Fatal(err)
	}
	own.names[names[0]].content[headSize+recordHeader+700] ^= 1
	q = mirrored(t, dir, own, other)
	intact(t, q, acknowledged)
	if h := strings.Join(q.Stats().Healed, "\n"); !strings.Contains(h, "damaged and was taken from the second copy") {
		t.Errorf("healed: %q", h)
	}
}

// A second copy that knows what this disk does not is never overwritten.
func TestASecondCopyOfAnotherHistoryIsKept(t *testing.T) {
	other := newForgetful()
	q := mirrored(t, t.TempDir(), newForgetful(), other)
	put(t, q, capture("old", "1"))
	closed(t, q)
	before, err := other.list()
	if err != nil {
		t.Fatal(err)
	}
	other.pull(true)
	q = mirrored(t, t.TempDir(), newForgetful(), other) // a new disk while the stick is out
	if _, err := q.Put(t.Context(), capture("new", "1")); !errors.Is(err, ErrMirror) {
		t.Errorf("put: %v, want ErrMirror", err)
	}
	settle(t, q, Cursor{Epoch: "e", Seq: 1}, Outcome{Seq: 1, ID: "x", State: Succeeded})
	other.pull(false)
	q.seek()
	equal(t, "level", q.Stats().Mirror.Away, "")
	put(t, q, capture("new", "1"))
	if h := strings.Join(q.Stats().Healed, "\n"); !strings.Contains(h, "another history") {
		t.Errorf("healed: %q", h)
	}
	after, err := other.list()
	if err != nil {
		t.Fatal(err)
	}
	kept := slices.IndexFunc(after, func(name string) bool {
		return strings.HasPrefix(name, asideName) && strings.HasSuffix(name, before[0])
	})
	if kept < 0 {
		t.Errorf("before %q, after %q", before, after)
	}
}

// On real disks: the place has to be another disk, and this owner's. A hub whose own
// disk is gone opens from there.
func TestAHubWhoseDiskIsGoneOpensFromTheSecondCopy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	same := t.TempDir()
	q := opened(t, dir, Options{Mirror: same, Owner: "0412"})
	if away := q.Stats().Mirror.Away; !strings.Contains(away, "own disk") {
		t.Errorf("a mirror on the same disk: %q", away)
	}
	closed(t, q)
	if left, err := os.ReadDir(same); err != nil || len(left) > 0 {
		t.Errorf("it was written to: %v (%v)", left, err)
	}
	place := otherDisk(t, dir)
	q = opened(t, dir, Options{Mirror: place, Owner: "0412"})
	acknowledged := map[string]Op{}
	for i := range 5 {
		id := fmt.Sprint("op", i)
		acknowledged[id] = put(t, q, capture(id, "pi"))
	}
	closed(t, q)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	q = opened(t, dir, Options{Mirror: place, Owner: "0413"})
	if away := q.Stats().Mirror.Away; !strings.Contains(away, `"0412"`) {
		t.Errorf("another's copy: %q", away)
	}
	closed(t, q)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	q = opened(t, dir, Options{Mirror: place, Owner: "0412"})
	intact(t, q, acknowledged)
	put(t, q, capture("next", "pi"))
}

// otherDisk is a directory on another disk than dir's: memory, or a mount of its own.
func otherDisk(t *testing.T, dir string) string {
	t.Helper()
	place := filepath.Join("/dev/shm", fmt.Sprintf("mirror-%x", rand.Uint64())) // memory is another disk
	if err := os.Mkdir(place, 0o700); err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(place) })
		if same, err := sameDisk(place, dir); err == nil && !same {
			return place
		}
	}
	place = t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", place).CombinedOutput(); err != nil {
		if os.Geteuid() == 0 {
			t.Fatalf("mount a second disk: %v: %s", err, out)
		}
		t.Skip("no /dev/shm, and only root may mount a second disk")
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.Background(), "umount", place).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return place
}
