package offlinequeue

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testKeys = keysOfChild()
	if dir := os.Getenv(killedDir); dir != "" {
		os.Exit(killedChild(dir))
	}
	if dir := os.Getenv(filledDir); dir != "" {
		os.Exit(filledChild(dir))
	}
	if slices.Contains(os.Args, "-encrypted") {
		testKeys = []Key{keyOfTests(1)}
		if err := os.Setenv(keyEnv, hex.EncodeToString(testKeys[0].b[:])); err != nil {
			panic(err)
		}
	}
	// 15 random walks take seconds; more by -rapid.checks, which is read later.
	checks := "15"
	if slices.Contains(os.Args, "-test.short=true") {
		checks = "2"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		panic(err)
	}
	// A Badger that does not open leaves some of its goroutines behind, and tests
	// damage stores. Those of one that opened: TestCloseEndsEveryGoroutine.
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/dgraph-io/badger/v4/y.(*WaterMark).process"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/badger/v4.(*DB).monitorCache"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/badger/v4.(*DB).updateSize"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2/z.(*AllocatorPool).freeupAllocators"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2.(*Cache[...]).processItems"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2.(*defaultPolicy[...]).processItems"),
	)
}

func TestCloseEndsEveryGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	dir := t.TempDir()
	for range 2 {
		q := opened(t, dir, Options{})
		stop := running(t, q, newHeadquarters())
		put(t, q, capture("a", "a"))
		stop()
		closed(t, q)
	}
	goleak.VerifyNone(t, before)
}

// quiet keeps what a test provokes out of its output.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// opened is a queue that the test closes.
func opened(t testing.TB, dir string, o Options) *Queue {
	t.Helper()
	if o.Log == nil {
		o.Log = quiet()
	}
	if _, measured := t.(*testing.B); o.segmentSize == 0 && !measured {
		o.segmentSize = 1 << 20 // one that is full size costs each test its reading
	}
	q, err := openAs(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, q) })
	return q
}

func closed(t testing.TB, q *Queue) {
	t.Helper()
	c := q.checking()
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if c != nil && c.err != nil && !errors.Is(c.err, ErrClosed) {
		t.Error(c.err)
	}
}

// capture is an operation about money.
func capture(id, ref string) Op {
	amount := int64(1250)
	return Op{
		ID: id, Hash: "hash of " + id, Kind: "capture", Ref: ref, Amount: &amount, Currency: "eur",
		Data: json.RawMessage(`{"order":"A-17"}`), Till: "till 1", Mode: "test", Money: true,
	}
}

func put(t testing.TB, q *Queue, op Op) Op {
	t.Helper()
	got, err := q.Put(t.Context(), op)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func get(t testing.TB, q *Queue, id string) Op {
	t.Helper()
	op, err := q.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func settle(t testing.TB, q *Queue, c Cursor, outs ...Outcome) {
	t.Helper()
	if err := q.Settle(t.Context(), c, outs); err != nil {
		t.Fatal(err)
	}
}

// ids lists the queue, newest first.
func ids(t testing.TB, q *Queue, states ...State) []string {
	t.Helper()
	var list []string
	for op, err := range q.All(states...) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, op.ID)
	}
	return list
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	g, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(g) != string(w) {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func TestPutIsThereAfterReopen(t *testing.T) {
	dir := t.TempDir()
	q := opened(t, dir, Options{})
	deadline := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	op := capture("op1", "pi_1")
	op.Deadline = deadline
	first := put(t, q, op)
	if first.Seq != 1 || first.State != Pending || first.Number != 0 || first.Created.IsZero() {
		t.Errorf("put: %+v", first)
	}
	put(t, q, capture("op2", "pi_2"))
	closed(t, q)

	q = opened(t, dir, Options{})
	equal(t, "op1", get(t, q, "op1"), first)
	equal(t, "newest first", ids(t, q), []string{"op2", "op1"})
	s := q.Stats()
	equal(t, "counts", s.Operations, map[string]map[State]int{"capture": {Pending: 2}})
	if !s.NextDeadline.Equal(deadline) || !s.OldestPending.Equal(first.Created) || len(s.Damaged) > 0 {
		t.Errorf("stats: %+v", s)
	}
	if third := put(t, q, capture("op3", "pi_3")); third.Seq != 3 {
		t.Errorf("place after reopen: %d, want 3", third.Seq)
	}
}

func TestPutOfTheSameIDGivesTheSameOperation(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	first := put(t, q, capture("op1", "pi_1"))
	equal(t, "second put", put(t, q, capture("op1", "pi_1")), first)
	other := capture("op1", "pi_1")
	other.Hash = "another"
	if _, err := q.Put(t.Context(), other); !errors.Is(err, ErrReused) {
		t.Errorf("put with another hash: %v, want ErrReused", err)
	}
	equal(t, "stored", get(t, q, "op1"), first)
	if n := q.Stats().Operations["capture"][Pending]; n != 1 {
		t.Errorf("%d operations, want 1", n)
	}
}

func TestPutRefusesWhatCannotBeStored(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	for name, op := range map[string]Op{
		"no id":        {Hash: "h"},
		"long id":      {ID: strings.Repeat("x", maxID+1)},
		"broken data":  {ID: "a", Data: json.RawMessage("{")},
		"too much":     {ID: "a", Data: json.RawMessage(`"` + strings.Repeat("x", maxRecord) + `"`)},
		"a year 10000": {ID: "a", Created: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if _, err := q.Put(t.Context(), op); err == nil {
			t.Errorf("%s: stored", name)
		}
	}
	if list := ids(t, q); len(list) > 0 {
		t.Errorf("stored: %q", list)
	}
	put(t, q, capture("op1", "pi_1")) // and goes on
}

func TestGetOfNothingIsNotFound(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	if _, err := q.Get("nope"); !errors.Is(err, ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	if _, err := q.Await(t.Context(), "nope"); !errors.Is(err, ErrNotFound) {
		t.Errorf("await: %v", err)
	}
}

func TestPutRefusesWhenFull(t *testing.T) {
	var free atomic.Uint64 // who applies asks too
	free.Store(1 << 40)
	dir := t.TempDir()
	q := opened(t, dir, Options{Free: func(string) (uint64, error) { return free.Load(), nil }})
	put(t, q, capture("op1", "pi_1"))
	free.Store(reserveLeast - 1)
	if _, err := q.Put(t.Context(), capture("op2", "pi_2")); !errors.Is(err, ErrFull) {
		t.Errorf("put into the reserve: %v, want ErrFull", err)
	}
	put(t, q, capture("op1", "pi_1")) // what stands is told
	settle(t, q, Cursor{Epoch: "e", Seq: 1}, Outcome{Seq: 1, ID: "op1", State: Succeeded})
	free.Store(0)
	settle(t, q, Cursor{Epoch: "e", Seq: 2}, Outcome{Seq: 2, ID: "op1", Reversal: json.RawMessage(`{}`)})
	if _, err := openAs(t.TempDir(), Options{Free: func(string) (uint64, error) { return 0, nil }}); !errors.Is(err, ErrFull) {
		t.Errorf("open on a full disk: %v, want ErrFull", err)
	}
	free.Store(1 << 40)
	put(t, q, capture("op2", "pi_2"))
	closed(t, q)

	q = opened(t, dir, Options{MaxBytes: 200})
	equal(t, "nothing dropped", ids(t, q), []string{"op2", "op1"})
	if _, err := q.Put(t.Context(), capture("op3", "pi_3")); !errors.Is(err, ErrFull) {
		t.Errorf("put beyond MaxBytes: %v, want ErrFull", err)
	}
}

func TestSecondHubIsRefused(t *testing.T) {
	dir := t.TempDir()
	q := opened(t, dir, Options{})
	_, err := openAs(dir, Options{Log: quiet()})
	if want := "open queue " + dir + ": another hub is using it"; err == nil || err.Error() != want || !errors.Is(err, ErrInUse) {
		t.Errorf("second open: %v, want %s", err, want)
	}
	closed(t, q)
	opened(t, dir, Options{})
}

func TestNewerDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	closed(t, opened(t, dir, Options{}))
	if err := os.WriteFile(filepath.Join(dir, formatName), []byte("7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openAs(dir, Options{Log: quiet()})
	want := "open queue " + dir + ": the store was written by a newer version: it has format 7, this program knows 3"
	if err == nil || err.Error() != want || !errors.Is(err, ErrTooNew) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestDirectoryIsForItsOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "queue")
	opened(t, dir, Options{})
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if os.PathSeparator == '/' && info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, want 0700", info.Mode())
	}
}

func TestClosedQueueRefuses(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	put(t, q, capture("op1", "pi_1"))
	awaiting := make(chan error, 1)
	running := make(chan error, 1)
	go func() { _, err := q.Await(context.Background(), "op1"); awaiting <- err }()
	go func() { running <- q.Run(context.Background(), silent{}) }()
	closed(t, q)
	for name, err := range map[string]error{
		"await":  <-awaiting,
		"run":    <-running,
		"put":    second(q.Put(t.Context(), capture("op2", "pi_2"))),
		"get":    second(q.Get("op1")),
		"settle": q.Settle(t.Context(), Cursor{}, nil),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if err := q.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// silent is a headquarters that does not answer.
type silent struct{}

func (silent) Send(context.Context, Batch) (Receipt, error) { return Receipt{}, errors.New("silence") }

func TestAllGoesThroughManyPages(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	var want []string
	var wg sync.WaitGroup
	n := 3*page + 7
	for i := range n {
		wg.Go(func() {
			if _, err := q.Put(t.Context(), capture(fmt.Sprintf("op%d", i), "pi")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for op, err := range q.All() {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, op.ID)
		if op.Seq != uint64(n-len(want)+1) {
			t.Fatalf("place %d comes as number %d of %d", op.Seq, len(want), n)
		}
	}
	if len(want) != n {
		t.Fatalf("%d operations, want %d", len(want), n)
	}
	equal(t, "open ones", ids(t, q, Pending, Accepted), want)
	equal(t, "ended ones", ids(t, q, Succeeded, Failed), nil)
	for op := range q.All() {
		equal(t, "first", op.ID, want[0])
		break
	}
}

func TestAwaitReturnsTheEnd(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	put(t, q, capture("op1", "pi_1"))
	ended := make(chan Op, 2)
	for range 2 {
		go func() {
			op, err := q.Await(t.Context(), "op1")
			if err != nil {
				t.Error(err)
			}
			ended <- op
		}()
	}
	settle(t, q, Cursor{Epoch: "e", Seq: 1}, Outcome{Seq: 1, ID: "op1", State: Accepted})
	settle(t, q, Cursor{Epoch: "e", Seq: 2}, Outcome{Seq: 2, ID: "op1", State: Failed, Reason: "nothing_captured"})
	for range 2 {
		if op := <-ended; op.State != Failed || op.Reason != "nothing_captured" {
			t.Errorf("awaited: %+v", op)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	put(t, q, capture("op2", "pi_2"))
	if op, err := q.Await(ctx, "op2"); err != nil || op.State != Pending {
		t.Errorf("await with ended ctx: %v %v", op.State, err)
	}
}

func TestOnChangeTellsEveryStateAfterItIsOnDisk(t *testing.T) {
	var told []string
	var q *Queue
	q = opened(t, t.TempDir(), Options{OnChange: func(op Op) {
		if stored, err := q.Get(op.ID); err != nil || stored.State != op.State {
			t.Errorf("told %s, stored %s (%v)", op.State, stored.State, err)
		}
		if n := q.Stats().Operations["capture"][op.State]; n != 1 {
			t.Errorf("told %s, counted %d", op.State, n)
		}
		told = append(told, op.ID+" "+string(op.State))
	}})
	put(t, q, capture("op1", "pi_1"))
	hq := newHeadquarters()
	stop := running(t, q, hq)
	hq.wait(t, func() bool { return len(hq.log) == 1 })
	eventually(t, func() bool { return get(t, q, "op1").State == Accepted })
	settle(t, q, Cursor{Epoch: hq.epoch, Seq: 1}, Outcome{Seq: 1, ID: "op1", State: Succeeded})
	settle(t, q, Cursor{Epoch: hq.epoch, Seq: 2}, Outcome{Seq: 1, ID: "op1", State: Succeeded})
	stop()
	equal(t, "told", told, []string{"op1 pending", "op1 accepted", "op1 succeeded"})
}

func TestOnSyncIsToldOfEveryFlush(t *testing.T) {
	var flushes []time.Duration
	q := opened(t, t.TempDir(), Options{OnSync: func(d time.Duration) { flushes = append(flushes, d) }})
	put(t, q, capture("op1", "pi_1"))
	put(t, q, capture("op1", "pi_1")) // changes nothing
	put(t, q, capture("op2", "pi_2"))
	if len(flushes) != 2 || slices.Min(flushes) <= 0 {
		t.Errorf("flushes: %v, want two", flushes)
	}
}
