package hub

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"storehub/diagnostics"
)

const (
	historyKept  = 14 * 24 * time.Hour
	historyBytes = 16 << 20 // all files together
	historyFile  = 1 << 20  // a file is closed beyond this, and with its day (UTC)
	// historyEvery is how often a record is written though nothing changed, so that
	// a time without records is a time that nobody watched.
	historyEvery = 5 * time.Minute
	// historyLeaves is room on disk that belongs to promises: with less nothing is
	// written here.
	historyLeaves = 64 << 20
)

// ErrNoHistory means that no hub has kept a history in the state directory.
var ErrNoHistory = errors.New("no hub has kept a history here")

// history is the ring of what was judged, and of the facts it was judged by, in
// files of the state directory. Losing it loses no promise: nothing waits for
// its disk but a full record's own flush.
type history struct {
	mu     sync.Mutex
	dir    string
	fault  func(step string) error
	f      *os.File // nil: to be opened by the next record
	number int      // of the file
	size   int64
	day    time.Time      // of its first record
	last   time.Time      // of its newest record
	states map[uint64]int // full records by what they say
}

func newHistory(stateDir string, fault func(string) error) *history {
	if fault == nil {
		fault = func(string) error { return nil }
	}
	return &history{dir: historyDir(stateDir), fault: fault}
}

func historyDir(stateDir string) string { return filepath.Join(stateDir, "history") }

// add keeps a report and its facts. A full record is on disk when it returns; a
// repeat may be lost with the power, and is written again minutes later.
func (h *history) add(at time.Time, r diagnostics.Report, in diagnostics.Input) (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if free, err := diskFree(filepath.Dir(h.dir)); err == nil && free < historyLeaves {
		return fmt.Errorf("keep history: only %d MiB are free", free>>20)
	}
	defer func() {
		if err != nil { // a torn frame may be behind us: look before the next
			h.closeFile()
			err = fmt.Errorf("keep history: %w", err)
		}
	}()
	if h.f == nil {
		if err := h.resume(); err != nil {
			return err
		}
	}
	if h.size >= historyFile || h.size > 0 && !h.day.Equal(at.UTC().Truncate(24*time.Hour)) {
		if err := h.roll(h.number + 1); err != nil {
			return err
		}
	}
	sign := signature(r, in)
	state, known := h.states[sign]
	var record []byte
	if known {
		record = repeatRecord(at, state, r.Causes)
	} else {
		state = len(h.states)
		if record, err = pack(at, state, sign, r, in); err != nil {
			return err
		}
	}
	if err := h.fault("history:write"); err != nil {
		return err
	}
	if _, err := h.f.Write(record); err != nil {
		return err
	}
	if !known {
		if err := h.fault("history:sync"); err != nil {
			return err
		}
		if err := h.f.Sync(); err != nil {
			return err
		}
	}
	if h.size == 0 {
		h.day = at.UTC().Truncate(24 * time.Hour)
	}
	h.states[sign] = state
	h.size += int64(len(record))
	h.last = at
	return nil
}

func pack(at time.Time, state int, sign uint64, r diagnostics.Report, in diagnostics.Input) ([]byte, error) {
	r.Probes = nil // they are among the facts
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	report, err := squeeze(raw)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := diagnostics.SaveFacts(&b, in); err != nil {
		return nil, err
	}
	facts, err := squeeze(b.Bytes())
	if err != nil {
		return nil, err
	}
	return fullRecord(at, state, sign, report, facts), nil
}

// signature is what two moments have in common when nothing has changed but
// figures: answers, causes, and the readers' states.
func signature(r diagnostics.Report, in diagnostics.Input) uint64 {
	var b strings.Builder
	fmt.Fprintln(&b, r.Verdict, r.HubVersion)
	for _, c := range r.Causes {
		fmt.Fprintln(&b, c.Code, c.Severity, c.Targets, c.Flapping != nil)
	}
	for _, s := range r.Symptoms {
		fmt.Fprintln(&b, s.Code, s.Because, s.Targets)
	}
	if in.Net != nil {
		for _, p := range in.Net.Results {
			fmt.Fprintln(&b, p.Name, p.Status, p.Code, p.Because)
		}
	}
	for _, rd := range in.Readers {
		fmt.Fprintln(&b, rd.Serial, rd.ID, rd.Addr, rd.Online, rd.Reachable)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return binary.LittleEndian.Uint64(sum[:])
}

// resume goes on in the newest file: behind what is whole in it, or in a new one
// if it is damaged before its end.
func (h *history) resume() error {
	if err := h.fault("history:open"); err != nil {
		return err
	}
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return err
	}
	numbers, err := historyFiles(h.dir)
	if err != nil {
		return err
	}
	if len(numbers) == 0 {
		return h.roll(1)
	}
	newest := numbers[len(numbers)-1]
	f, err := os.OpenFile(h.path(newest), os.O_RDWR, 0)
	if err != nil {
		return h.roll(newest + 1)
	}
	b, err := os.ReadFile(h.path(newest))
	entries, lost, whole := readRecords(b)
	if len(entries) > 0 {
		h.last = entries[len(entries)-1].at
	}
	torn := len(b) - whole // a power cut leaves half a record, and nothing behind it
	if err != nil || len(entries) == 0 || lost != torn || torn > frameMax {
		_ = f.Close()
		return h.roll(newest + 1)
	}
	if err := f.Truncate(int64(whole)); err != nil {
		return errors.Join(err, f.Close())
	}
	if _, err := f.Seek(int64(whole), 0); err != nil {
		return errors.Join(err, f.Close())
	}
	h.f, h.number, h.size = f, newest, int64(whole)
	h.day, h.states = entries[0].at.Truncate(24*time.Hour), map[uint64]int{}
	for _, e := range entries {
		if e.report != nil {
			h.states[e.sign] = e.state
		}
	}
	return nil
}

// roll begins a file and forgets what is too old or too much.
func (h *history) roll(number int) error {
	h.closeFile()
	if err := h.prune(); err != nil {
		return err
	}
	if err := h.fault("history:create"); err != nil {
		return err
	}
	f, err := os.OpenFile(h.path(number), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := syncDir(h.dir); err != nil {
		return errors.Join(err, f.Close())
	}
	h.f, h.number, h.size, h.states = f, number, 0, map[uint64]int{}
	return nil
}

// prune deletes files whose newest record is older than 14 days, seen from the
// newest record of all and not from the clock: a clock that jumps ahead deletes
// nothing at once. Then the oldest, until there is room for one more.
func (h *history) prune() error {
	if err := h.fault("history:prune"); err != nil {
		return err
	}
	numbers, err := historyFiles(h.dir)
	if err != nil {
		return err
	}
	sizes := map[int]int64{}
	var sum int64
	for _, n := range numbers {
		b, err := os.ReadFile(h.path(n))
		if err != nil {
			return err
		}
		entries, _, _ := readRecords(b)
		if len(entries) == 0 || h.last.Sub(entries[len(entries)-1].at) > historyKept {
			b = nil
		}
		sizes[n] = int64(len(b))
		sum += int64(len(b))
	}
	for _, n := range numbers {
		if sizes[n] > 0 && sum <= historyBytes-historyFile {
			continue
		}
		sum -= sizes[n]
		if err := os.Remove(h.path(n)); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) path(number int) string {
	return filepath.Join(h.dir, fmt.Sprintf("%06d.history", number))
}

func (h *history) closeFile() {
	if h.f != nil {
		_ = h.f.Close()
		h.f = nil
	}
}

func (h *history) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closeFile()
}

// historyFiles are the numbers of the files, oldest first.
func historyFiles(dir string) ([]int, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range list {
		var n int
		if _, err := fmt.Sscanf(e.Name(), "%06d.history", &n); err == nil && e.Name() == fmt.Sprintf("%06d.history", n) && e.Type().IsRegular() {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}
