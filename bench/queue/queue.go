package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"storehub/offlinequeue"
)

// queue is ours as the hub uses it: a payload is the Data of an operation with a
// key, a hash, and a ref that a thousand operations share.
type queue struct {
	q    *offlinequeue.Queue
	run  string // keys do not repeat when the directory is opened again
	kind string
	next atomic.Uint64
	late atomic.Int64 // by so much its clock is ahead
}

// keptAnHour is the kind of operation that is not kept for weeks after its end, of which
// each counts as it is lived through: what becomes of the room can be seen at once.
const keptAnHour = "heartbeat"

func ours(store string) bool { return store == "queue" || store == "sealed" }

func openQueue(dir string) (store, error) { return openWith(dir, nil) }

// openSealed is ours encrypted at rest; with a key that everybody knows.
func openSealed(dir string) (store, error) {
	keys, err := offlinequeue.ParseKeys([]byte(strings.Repeat("0123456789abcdef", 4)))
	if err != nil {
		return nil, err
	}
	return openWith(dir, keys)
}

func openWith(dir string, keys []offlinequeue.Key) (store, error) {
	s := &queue{run: strconv.FormatInt(time.Now().UnixNano(), 36), kind: "capture"}
	var err error
	s.q, err = offlinequeue.Open(dir, offlinequeue.Options{
		Log: slog.New(slog.DiscardHandler), MaxBytes: 1 << 40, Keys: keys,
		Now: func() time.Time { return time.Now().Add(time.Duration(s.late.Load())) },
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *queue) Put(ctx context.Context, payload []byte) error {
	n := s.next.Add(1)
	amount := int64(1250)
	_, err := s.q.Put(ctx, offlinequeue.Op{
		ID: s.run + "-" + strconv.FormatUint(n, 10), Hash: "4d967a30111bf29f0eba01c448b375c1629b2fed01cdfcc3aed91f1b57d5dd5e",
		Kind: s.kind, Ref: "ref " + strconv.FormatUint(n%1000, 10), Amount: &amount, Currency: "eur",
		Data: payload, Till: "till 1", Mode: "test", Money: true,
	})
	return err
}

func (s *queue) each(f func([]byte) bool) error {
	for op, err := range s.q.All() {
		if err != nil {
			return err
		}
		if !f(op.Data) {
			break
		}
	}
	return nil
}

func (s *queue) Close() error { return s.q.Close() }

// open counts what has no end, as the queue says it.
func (s *queue) open() int {
	n := 0
	for _, states := range s.q.Stats().Operations {
		n += states[offlinequeue.Pending] + states[offlinequeue.Accepted]
	}
	return n
}

// outlive returns a minute after nothing of what was drained is kept any more.
func (s *queue) outlive() error {
	s.late.Store(int64(2 * time.Hour))
	for end := time.Now().Add(15 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		held := 0
		for _, states := range s.q.Stats().Operations {
			for _, n := range states {
				held += n
			}
		}
		if held == 0 {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("after a quarter of an hour %d operations are still kept", held)
		}
	}
	time.Sleep(time.Minute) // as long as the aim says
	return nil
}

// drained is what a drain to a headquarters without any delay showed.
type drained struct {
	FirstMS   float64 `json:"first_ms"` // from the beginning of the opening to the first offer
	Found     int     `json:"found"`
	PerSecond float64 `json:"per_second"`
	Begin     float64 `json:"first_tenth_per_second"`
	End       float64 `json:"last_tenth_per_second"`
	CPUus     float64 `json:"cpu_us"` // processor time an operation, headquarters' share included
}

const epoch = "bench"

// drain offers all operations that wait, takes each batch at once, and settles an
// outcome for every operation; it ends when the last outcome is on disk. They are counted
// once the first has left: that may have to wait for all of them to be read.
func (s *queue) drain(ctx context.Context, opened time.Time) (drained, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hq := &headquarters{batches: make(chan []offlinequeue.Op, 64)}
	ran := make(chan error, 1)
	began, used := time.Now(), ownTime()
	go func() { ran <- s.q.Run(ctx, hq) }()

	var d drained
	var last time.Duration // when the last tenth began, and with how many settled
	n, before := 1, 0
	seq := uint64(0)
	for settled := 0; settled < n; {
		var ops []offlinequeue.Op
		select {
		case ops = <-hq.batches:
		case err := <-ran:
			return d, errors.Join(errors.New("drain: Run ended early"), err)
		case <-ctx.Done():
			return d, fmt.Errorf("drain: %d of %d settled: %w", settled, n, ctx.Err())
		}
		if settled == 0 {
			d.FirstMS = ms(hq.first.Sub(opened))
			d.Found = s.open()
			n = d.Found
		}
		// What came meanwhile is settled together.
		for more := true; more && len(ops) < 1000; {
			select {
			case b := <-hq.batches:
				ops = append(ops, b...)
			default:
				more = false
			}
		}
		outs := make([]offlinequeue.Outcome, len(ops))
		for i, op := range ops {
			seq++
			outs[i] = offlinequeue.Outcome{Seq: seq, ID: op.ID, State: offlinequeue.Succeeded, Result: json.RawMessage(`{"status":"succeeded"}`)}
		}
		if err := s.q.Settle(ctx, offlinequeue.Cursor{Epoch: epoch, Seq: seq}, outs); err != nil {
			return d, err
		}
		settled += len(ops)
		at := time.Since(began)
		if d.Begin == 0 && settled >= n/10 {
			d.Begin = float64(settled) / at.Seconds()
		}
		if settled <= n-n/10 {
			last, before = at, settled
		}
	}
	took := time.Since(began)
	d.PerSecond = float64(n) / took.Seconds()
	d.CPUus = (ownTime() - used) / float64(n) * 1e6
	d.End = float64(n-before) / (took - last).Seconds()
	cancel()
	return d, <-ran
}

// headquarters takes everything at once.
type headquarters struct {
	first   time.Time // of the first offer; read only after a batch was received
	batches chan []offlinequeue.Op
}

// Send is offlinequeue.Sender's.
func (h *headquarters) Send(ctx context.Context, b offlinequeue.Batch) (offlinequeue.Receipt, error) {
	if h.first.IsZero() {
		h.first = time.Now()
	}
	head := b.Head
	for _, op := range b.Ops {
		head = offlinequeue.Chain(head, op.ID)
	}
	select {
	case h.batches <- b.Ops:
	case <-ctx.Done():
		return offlinequeue.Receipt{}, ctx.Err()
	}
	return offlinequeue.Receipt{Epoch: epoch, AcceptedThrough: b.Ops[len(b.Ops)-1].Number, Head: head}, nil
}
