package offlinequeue

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Random verbs against a map: what the map knows the queue knows, at every step
// and after every reopening; headquarters gets everything, in the order of refs.
func TestQueueAgainstAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{rt: rt, dir: t.TempDir(), hq: newHeadquarters(), ops: map[string]Op{}, told: map[string]bool{}}
		m.open()
		defer func() { m.check(m.q.Close()) }()
		rt.Repeat(map[string]func(*rapid.T){
			"put":     func(*rapid.T) { m.put() },
			"send":    func(*rapid.T) { m.send() },
			"settle":  func(*rapid.T) { m.settle() },
			"restore": func(*rapid.T) { m.restore() },
			"park":    func(*rapid.T) { m.park() },
			"retry":   func(*rapid.T) { m.retry(rapid.Bool().Draw(m.rt, "all")) },
			"reopen":  func(*rapid.T) { m.check(m.q.Close()); m.open() },
			"":        func(*rapid.T) { m.invariant() },
		})
		m.retry(true)
		m.settle()     // the feed tells of an epoch even when nothing is offered
		for range 50 { // headquarters is there: all of it arrives
			if _, err := m.q.send(context.Background(), m.hq, batchOps); err == nil && m.open0() == 0 {
				break
			}
		}
		m.arrived()
	})
}

type model struct {
	rt    *rapid.T
	dir   string
	q     *Queue
	hq    *headquarters
	ops   map[string]Op // by id, as the queue last told
	order []string
	told  map[string]bool // outcomes of the epoch
	seq   uint64          // of outcomes
	epoch int
	next  Batch // numbered with the last receipt
}

func (m *model) check(err error) {
	if err != nil {
		m.rt.Fatal(err)
	}
}

func (m *model) open() {
	q, err := openAs(m.dir, Options{Log: quiet(), segmentSize: 1 << 20, window: 3, hintLeast: 1, hintGrowth: 1})
	m.check(err)
	m.q, m.next = q, Batch{}
	m.check(q.checking().wait())
}

func (m *model) put() {
	id := fmt.Sprint("op", rapid.IntRange(0, 30).Draw(m.rt, "id"))
	op := capture(id, fmt.Sprint("ref", len(id)+int(id[len(id)-1])%3))
	op.Money = rapid.Bool().Draw(m.rt, "money")
	got, err := m.q.Put(context.Background(), op)
	m.check(err)
	if was, ok := m.ops[id]; ok {
		if got.Seq != was.Seq {
			m.rt.Fatalf("%s: place %d, was %d", id, got.Seq, was.Seq)
		}
		return
	}
	m.order = append(m.order, id)
	if got.Seq != uint64(len(m.order)) {
		m.rt.Fatalf("%s: place %d, want %d", id, got.Seq, len(m.order))
	}
	m.ops[id] = got
}

func (m *model) send() {
	m.hq.down = rapid.IntRange(0, 3).Draw(m.rt, "down") == 0
	m.hq.deaf = rapid.IntRange(0, 3).Draw(m.rt, "deaf") == 0
	b, ops := m.next, rapid.IntRange(1, 4).Draw(m.rt, "ops")
	if len(b.Ops) == 0 {
		var err error
		b, err = m.q.batch(context.Background(), ops, "")
		m.check(err)
	}
	m.next = Batch{}
	if len(b.Ops) > 0 {
		m.next, _ = m.q.offer(context.Background(), m.hq, b, func(Batch, time.Duration) int {
			return rapid.IntRange(0, 4).Draw(m.rt, "ahead")
		})
	}
	m.hq.down, m.hq.deaf = false, false
}

// park holds back what would be offered next, as if headquarters refused it for good.
func (m *model) park() {
	b, err := m.q.batch(context.Background(), 1, "")
	m.check(err)
	if len(b.Ops) == 0 {
		return
	}
	d := newDoubt()
	m.check(m.q.takeBack(context.Background(), m.hq, d, b.Ops[0].ID, &Refusal{Reason: "invalid_field"}))
	if len(d.suspects) > 0 {
		m.rt.Fatalf("%q are still set aside", d.suspects)
	}
}

func (m *model) retry(all bool) {
	for _, h := range m.q.Stats().Parked {
		if all || h.ID[len(h.ID)-1]%2 == 0 {
			_, err := m.q.Retry(context.Background(), h.ID, Note{By: "Ada", Text: "again"})
			m.check(err)
		}
	}
}

func (m *model) settle() {
	var outs []Outcome
	for _, op := range m.hq.log {
		if !m.told[op.ID] && rapid.Bool().Draw(m.rt, "ends") {
			m.told[op.ID] = true
			m.seq++
			state := rapid.SampledFrom([]State{Accepted, Succeeded, Failed}).Draw(m.rt, "state")
			outs = append(outs, Outcome{Seq: m.seq, ID: op.ID, State: state})
		}
	}
	m.check(m.q.Settle(context.Background(), Cursor{
		Epoch: m.hq.epoch, Seq: m.seq,
		AcceptedThrough: uint64(len(m.hq.log)), Head: m.hq.head(len(m.hq.log)),
	}, outs))
	if c := m.q.Cursor(); c.Epoch != m.hq.epoch || c.Seq != m.seq {
		m.rt.Fatalf("cursor %+v, want %s %d", c, m.hq.epoch, m.seq)
	}
}

func (m *model) restore() {
	if rapid.IntRange(0, 4).Draw(m.rt, "rarely") > 0 {
		return
	}
	m.epoch++
	m.hq.restore(fmt.Sprint("epoch ", m.epoch+1), rapid.IntRange(0, len(m.hq.log)).Draw(m.rt, "kept"))
	m.told, m.seq = map[string]bool{}, 0
}

var rank = map[State]int{Pending: 0, Accepted: 1, Failed: 2, Succeeded: 3}

func (m *model) invariant() {
	if why := m.q.fits(); why != "" {
		m.rt.Fatal(why)
	}
	i := len(m.order)
	for op, err := range m.q.All() {
		m.check(err)
		if i--; i < 0 || op.ID != m.order[i] {
			m.rt.Fatalf("%s at place %d of %q", op.ID, i+1, m.order)
		}
		if was := m.ops[op.ID]; rank[op.State] < rank[was.State] {
			m.rt.Fatalf("%s went from %s to %s", op.ID, was.State, op.State)
		}
		m.ops[op.ID] = op
	}
	if i != 0 {
		m.rt.Fatalf("%d operations are gone", i)
	}
	counted := 0
	for _, states := range m.q.Stats().Operations {
		for state, n := range states {
			counted += n
			for _, op := range m.ops {
				if op.State == state {
					n--
				}
			}
			if n != 0 {
				m.rt.Fatalf("%s is counted wrongly by %d", state, n)
			}
		}
	}
	if counted != len(m.ops) {
		m.rt.Fatalf("%d counted of %d", counted, len(m.ops))
	}
}

// open0 is how many operations headquarters does not have yet.
func (m *model) open0() int {
	m.q.mu.Lock()
	defer m.q.mu.Unlock()
	n := len(m.q.index.offered) + len(m.q.index.waiting.lanes)
	return n + m.q.index.rest.waits
}

func (m *model) arrived() {
	if n := m.open0(); n > 0 {
		m.rt.Fatalf("%d never arrive", n)
	}
	first := map[string]int{}
	for i, op := range m.hq.log {
		if _, ok := first[op.ID]; !ok {
			first[op.ID] = i
		}
	}
	last := map[string]int{}
	for _, id := range m.order {
		op := m.ops[id]
		at, ok := first[id]
		if !ok {
			m.rt.Fatalf("%s (%s) never came to headquarters", id, op.State)
		}
		if before, ok := last[op.Ref]; ok && at < before {
			m.rt.Fatalf("%s came before an earlier one of %s", id, op.Ref)
		}
		last[op.Ref] = at
	}
}
