package main

import (
	"context"
	"errors"
	"fmt"
)

// store is what every contestant can do: keep a payload, and say so only when it
// is flushed. Put may be called by several goroutines, Close after the last of them.
type store interface {
	putter
	Close() error
}

type putter interface {
	Put(ctx context.Context, payload []byte) error
}

// replayer is a store that can be read again. each calls f with every payload
// kept, in the order they were put, until f returns false.
type replayer interface {
	each(f func(payload []byte) bool) error
}

// contestant is one row of the tables.
type contestant struct {
	name string // for -stores
	row  string // for the tables
	open func(dir string) (store, error)
}

// contestants stand in the order of the tables. The first is what the others are
// compared with.
var contestants = []contestant{
	{"file", "bare file, group commit", openFile},
	{"bbolt", "bbolt, group commit", openBolt},
	{"pebble", "Pebble, Sync", openPebble},
	{"sqlite", "SQLite WAL FULL (modernc), group commit", openSQLite},
	{"nats", "NATS JetStream, SyncAlways", openNATS},
	{"badger", "Badger alone, group commit", openBadger},
	{"queue", "**offlinequeue**", openQueue},
	{"sealed", "**offlinequeue**, encrypted", openSealed},
}

func contestantNamed(name string) (contestant, error) {
	for _, c := range contestants {
		if c.name == name {
			return c, nil
		}
	}
	return contestant{}, fmt.Errorf("no store is called %q", name)
}

// Bounds of one group: as many as the largest number of producers measured, and
// what the smallest transaction of the contestants takes (Badger's, at a
// memtable of 8 MiB).
const (
	groupMost  = 256
	groupBytes = 512 << 10
)

var errClosed = errors.New("the store is closed")

// group lets those who wait while a flush is under way share the next one. It
// gives a store without group commit what the others have.
type group struct {
	requests chan request
	closing  chan struct{}
	done     chan struct{}
}

type request struct {
	payload []byte
	answer  chan error
}

// newGroup starts the one goroutine that calls commit, which returns when all of
// its payloads are flushed.
func newGroup(commit func(payloads [][]byte) error) *group {
	g := &group{make(chan request), make(chan struct{}), make(chan struct{})}
	go g.write(commit)
	return g
}

func (g *group) write(commit func([][]byte) error) {
	defer close(g.done)
	var waiting []request
	var payloads [][]byte
	for {
		waiting, payloads = waiting[:0], payloads[:0]
		size := 0
		add := func(r request) {
			waiting, payloads = append(waiting, r), append(payloads, r.payload)
			size += len(r.payload)
		}
		select {
		case r := <-g.requests:
			add(r)
		case <-g.closing:
			return
		}
		for more := true; more && len(waiting) < groupMost && size < groupBytes; {
			select {
			case r := <-g.requests:
				add(r)
			default:
				more = false
			}
		}
		err := commit(payloads)
		for _, r := range waiting {
			r.answer <- err
		}
	}
}

// Put is store's.
func (g *group) Put(ctx context.Context, payload []byte) error {
	r := request{payload, make(chan error, 1)}
	select {
	case g.requests <- r:
	case <-g.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	// A request that was taken is always answered.
	return <-r.answer
}

// stop returns when no commit is under way and none will be.
func (g *group) stop() {
	close(g.closing)
	<-g.done
}
