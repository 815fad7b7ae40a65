package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storehub/bench/proc"
	"storehub/offlinequeue"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	if o, ok := ordered(); ok {
		obey(o)
		return
	}
	os.Exit(m.Run())
}

// TestAcknowledgedSurvivesKill kills each store in the middle of its work: every
// payload that was acknowledged is there afterwards.
func TestAcknowledgedSurvivesKill(t *testing.T) {
	for _, c := range contestants {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			cmd, err := command(t.Context(), order{Do: "number", Store: c.name, Dir: dir, Producers: 8, N: 1 << 30})
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var acknowledged []int64
			lines := bufio.NewScanner(stdout)
			for lines.Scan() {
				if lines.Text() == "open" {
					continue
				}
				n, err := strconv.ParseInt(lines.Text(), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				if acknowledged = append(acknowledged, n); len(acknowledged) == 300 {
					if err := cmd.Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := cmd.Wait(); err == nil || len(acknowledged) < 300 {
				t.Fatalf("ended by itself after %d: %v", len(acknowledged), err)
			}
			found := numbers(t, c, dir)
			for _, n := range acknowledged {
				if !slices.Contains(found, n) {
					t.Fatalf("%d was acknowledged and is not among the %d that were found", n, len(found))
				}
			}
		})
	}
}

// numbers opens a store again and reads the numbers of all its payloads.
func numbers(t *testing.T, c contestant, dir string) (found []int64) {
	t.Helper()
	s, err := c.open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var bad error
	err = s.(replayer).each(func(p []byte) bool {
		var n int64
		n, bad = numberOf(p)
		found = append(found, n)
		return bad == nil
	})
	if err := errors.Join(err, bad, s.Close()); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestFlushesBeforeItAcknowledges watches the system calls of one producer:
// between any two acknowledgements the store flushed. SIGKILL alone cannot tell,
// since the page cache survives it.
func TestFlushesBeforeItAcknowledges(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Log("no strace here: TestAcknowledgedSurvivesKill is all that holds")
		return
	}
	const puts = 20
	for _, c := range contestants {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			log := filepath.Join(t.TempDir(), "strace")
			cmd, err := command(t.Context(), order{Do: "number", Store: c.name, Dir: dir, Producers: 1, N: puts})
			if err != nil {
				t.Fatal(err)
			}
			cmd.Args = append([]string{strace, "-f", "-y", "-o", log,
				"-e", "trace=openat,fsync,fdatasync,msync,write,pwrite64,writev,pwritev,pwritev2"}, cmd.Path)
			cmd.Path = strace
			if out, err := cmd.Output(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			flushes := flushesPerPut(string(text), dir)
			if len(flushes) != puts {
				t.Fatalf("%d acknowledgements in the trace, want %d", len(flushes), puts)
			}
			if slices.Contains(flushes, 0) {
				t.Errorf("flushes before each acknowledgement: %v", flushes)
			}
		})
	}
}

// flushesPerPut reads a trace: how many flushes of files below dir ended between
// "open" and the first number on standard output, the first and the second, and
// so on. A write to a file that was opened with O_SYNC or O_DSYNC is a flush.
func flushesPerPut(trace, dir string) (counts []int) {
	begun := map[string]string{} // by thread: the call that has not ended
	synced := map[string]bool{}  // paths opened so that each write is a flush
	open, n := false, 0
	for line := range strings.Lines(trace) {
		pid, call, _ := strings.Cut(strings.TrimSpace(line), " ")
		call = strings.TrimSpace(call)
		if head, ok := strings.CutSuffix(call, "<unfinished ...>"); ok {
			begun[pid] = head
			continue
		}
		if strings.HasPrefix(call, "<... ") {
			_, tail, _ := strings.Cut(call, "resumed>")
			call = begun[pid] + tail
		}
		name, args, ok := strings.Cut(call, "(")
		if !ok || strings.Contains(call, " = -1 ") {
			continue
		}
		_, path, _ := strings.Cut(args, "<")
		path, _, _ = strings.Cut(path, ">")
		switch name {
		case "openat":
			if strings.Contains(args, "O_SYNC") || strings.Contains(args, "O_DSYNC") {
				_, path, _ := strings.Cut(args, `"`)
				path, _, _ = strings.Cut(path, `"`)
				synced[path] = true
			}
		case "fsync", "fdatasync":
			if strings.HasPrefix(path, dir) {
				n++
			}
		case "msync":
			if strings.Contains(args, "MS_SYNC") {
				n++
			}
		default:
			if strings.HasPrefix(args, "1<") {
				if open {
					counts = append(counts, n)
				}
				open, n = true, 0
			} else if strings.HasPrefix(path, dir) && (synced[path] || strings.Contains(args, "RWF_DSYNC") || strings.Contains(args, "RWF_SYNC")) {
				n++
			}
		}
	}
	return counts
}

// TestTraceIsRead holds the reader of traces to one written by hand: it must be
// able to see a missing flush.
func TestTraceIsRead(t *testing.T) {
	const trace = `7 openat(AT_FDCWD</>, "/d/log", O_RDWR|O_CREAT, 0600) = 3</d/log>
7 openat(AT_FDCWD</>, "/d/sync", O_RDWR|O_CREAT|O_SYNC, 0600) = 4</d/sync>
7 fdatasync(3</d/log>) = 0
7 write(1<pipe:[1]>, "open\n", 5) = 5
7 write(3</d/log>, "1", 1) = 1
8 fdatasync(3</d/log> <unfinished ...>
7 write(9<pipe:[2]>, "x", 1) = 1
8 <... fdatasync resumed>) = 0
7 write(1<pipe:[1]>, "1\n", 2) = 2
7 write(3</d/log>, "2", 1) = 1
7 fdatasync(3</d/log>) = -1 EIO (Input/output error)
7 fsync(5</elsewhere>) = 0
7 write(1<pipe:[1]>, "2\n", 2) = 2
7 pwrite64(4</d/sync>, "3", 1, 0) = 1
7 msync(0x7f, 4096, MS_SYNC) = 0
7 write(1<pipe:[1]>, "3\n", 2) = 2
`
	if got, want := flushesPerPut(trace, "/d"), []int{1, 0, 2}; !slices.Equal(got, want) {
		t.Errorf("flushes before each acknowledgement: %v, want %v", got, want)
	}
}

// TestWaitersShareAFlush holds group commit: who comes during a flush goes with
// the next, all together.
func TestWaitersShareAFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var groups []int
		failed := errors.New("disk on fire")
		g := newGroup(func(payloads [][]byte) error {
			groups = append(groups, len(payloads))
			time.Sleep(time.Millisecond)
			if len(payloads) > 1 {
				return failed
			}
			return nil
		})
		put := func() error { return g.Put(t.Context(), []byte("x")) }
		first := make(chan error, 1)
		go func() { first <- put() }()
		synctest.Wait()
		rest := make(chan error, 9)
		for range 9 {
			go func() { rest <- put() }()
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		for range 9 {
			if err := <-rest; !errors.Is(err, failed) {
				t.Errorf("got %v, want what the flush said", err)
			}
		}
		g.stop()
		if err := put(); !errors.Is(err, errClosed) {
			t.Errorf("Put after the end: %v", err)
		}
		if !slices.Equal(groups, []int{1, 9}) {
			t.Errorf("groups of %v, want 1 and 9", groups)
		}
	})
}

// TestPayload wants 1 KiB of JSON, no two alike, that tells its number.
func TestPayload(t *testing.T) {
	p := newPayloads()
	a, b := p.make(41), p.make(41)
	if len(a) != payloadSize || !json.Valid(a) || bytes.Equal(a, b) {
		t.Errorf("payload %q", a)
	}
	if n, err := numberOf(a); n != 41 || err != nil {
		t.Errorf("number %d, %v", n, err)
	}
	if _, err := numberOf([]byte(`"41 short"`)); err == nil {
		t.Error("a short payload passes for one of ours")
	}
}

// TestQuantiles holds the histogram to a thirty-second of the truth.
func TestQuantiles(t *testing.T) {
	var a, b, h histogram
	for n := range 1000 {
		(&a).add(time.Duration(n) * time.Microsecond)
		(&b).add(time.Duration(n+1000) * time.Microsecond)
	}
	h.merge(&a)
	h.merge(&b)
	for q, want := range map[float64]time.Duration{0.5: time.Millisecond, 0.99: 1980 * time.Microsecond} {
		if got := h.quantile(q); got > want || got < want-want/32 {
			t.Errorf("quantile %v: %v, want %v or a little less", q, got, want)
		}
	}
}

// TestTableGolden shows a run with everything that may be said of it.
func TestTableGolden(t *testing.T) {
	r := result{
		Plan:    plan{Stores: []string{"file", "queue"}, Producers: []int{1, 64}, Seconds: 2, Rounds: 3, Life: []string{"file", "queue"}},
		Began:   time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		Machine: machine{Machine: proc.Machine{CPUs: 2, CPU: "Example 9000", Kernel: "6.1", Go: "go1.26.0"}},
		Life: []lifeRun{
			{Store: "file", Waiting: 1000, filled: filled{PerSecond: 5000, RssAnon: 5 << 20, RssIdle: 4 << 20}, Disk: 1 << 20,
				recovered: recovered{OpenMS: 1, FirstMS: 2, RssOpen: -1, Found: 1000}, OtherCPU: 0.1},
			{Store: "queue", Waiting: 1000, filled: filled{PerSecond: 4000, RssAnon: 15 << 20, RssIdle: 14 << 20}, Disk: 2 << 20,
				recovered: recovered{OpenMS: 11, FirstMS: 12, RssOpen: 9 << 20, Found: 1000, DiskDrained: 3 << 20, DiskRetained: 2 << 20, DiskClosed: 1 << 20,
					Drain: &drained{PerSecond: 80000, Begin: 90000, End: 70000, CPUus: 20}}, OtherCPU: -1},
		},
	}
	for round := 1; round <= 3; round++ {
		for _, producers := range r.Plan.Producers {
			for i, name := range r.Plan.Stores {
				r.Enqueue = append(r.Enqueue, enqueueRun{Store: name, Producers: producers, Round: round, OtherCPU: 0.3 * float64(i),
					enqueued: enqueued{Ops: 1000, PerSecond: float64(1000*round) / float64(1+i), P50us: 100, P99us: 900,
						Written: 2 * 1000 * payloadSize, RssAnon: int64(round-2*i) << 20}})
			}
		}
	}
	r.Plan.Sustained = 60
	r.Lasting = []enqueueRun{r.Enqueue[3], r.Enqueue[2]}
	for i, name := range doorStores {
		r.Door = append(r.Door, enqueueRun{Store: name, Producers: connections, Round: 1, OtherCPU: 0.1,
			enqueued: enqueued{Ops: 1000, PerSecond: 20000 / float64(1+i), P50us: 1000, P99us: 5000, CPUus: 90, Written: -1, RssAnon: 20 << 20}})
	}
	r.note()
	var got bytes.Buffer
	if err := r.render(&got); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "table.md")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the table is now\n%s", got.Bytes())
	}
}

// TestPlan refuses what cannot be measured.
func TestPlan(t *testing.T) {
	for _, args := range []string{"-stores=file,rust", "-producers=0", "-producers=", "-rounds=0", "-seconds=0", "-waiting=1", "-others-waiting=1", "extra"} {
		if _, err := parse(strings.Fields(args)); err == nil {
			t.Errorf("%s: accepted", args)
		}
	}
	p, err := parse([]string{"-life", "none"})
	if err != nil || len(p.Stores) != len(contestants) || p.Life != nil || p.Rounds != 5 || p.Seconds != 2 || !p.Door || !p.Retention || p.Sustained != 60 {
		t.Errorf("defaults: %+v, %v", p, err)
	}
}

// TestDoor has each store behind the door answer, and what was answered be there.
func TestDoor(t *testing.T) {
	for _, name := range doorStores {
		dir := t.TempDir()
		var e enqueued
		if err := ask(t.Context(), order{Do: "door", Store: name, Dir: dir, Producers: 4, Seconds: 0.2}, &e); err != nil {
			t.Fatal(err)
		}
		if e.Ops == 0 || e.PerSecond <= 0 || e.P99us <= 0 {
			t.Errorf("%s: %+v", name, e)
		}
		if name != "queue" {
			continue
		}
		s, err := openQueue(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.(*queue).open(); int64(got) != e.Ops {
			t.Errorf("%d wait, %d were answered", got, e.Ops)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestDrain drains a queue to its end and gives a rate for each part of the way.
func TestDrain(t *testing.T) {
	s, err := openQueue(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	q := s.(*queue)
	const n = 200
	if _, err := produce(q, 8, func(i int64) bool { return i <= n }); err != nil {
		t.Fatal(err)
	}
	if got := q.open(); got != n {
		t.Fatalf("%d wait, want %d", got, n)
	}
	d, err := q.drain(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for state, got := range q.q.Stats().Operations["capture"] {
		if want := map[offlinequeue.State]int{offlinequeue.Succeeded: n}[state]; got != want {
			t.Errorf("%d are %s, want %d", got, state, want)
		}
	}
	if d.Found != n || d.FirstMS <= 0 || d.PerSecond <= 0 || d.Begin <= 0 || d.End <= 0 {
		t.Errorf("figures of the drain: %+v", d)
	}
}
