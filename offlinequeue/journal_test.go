package offlinequeue

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// While one segment begins, the room of the next is taken: each has a file of its own,
// and its own head in it.
func TestSegmentsBegunWhileTheNextIsPreparedHaveTheirOwnFiles(t *testing.T) {
	d := newForgetful()
	j := &journal{disk: d, size: headSize}
	done := make(chan struct{})
	var preparing sync.WaitGroup
	preparing.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := j.prepare(); err != nil {
				t.Errorf("prepare: %v", err)
				return
			}
		}
	})
	for n := range uint64(2000) {
		if err := j.start(position{number: n}); err != nil {
			t.Errorf("start %d: %v", n, err)
			break
		}
	}
	close(done)
	preparing.Wait()
	for _, s := range j.segments {
		b := make([]byte, headMost)
		if _, err := s.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if head, _, ok := decodeHead(b); !ok || head.number != s.before.number || d.names[s.name] != s.file {
			t.Fatalf("segment %s has the head of %d (%v), or another's file", s.name, head.number, ok)
		}
	}
}

// While promises come and Badger is behind, the room of the next segment is taken before
// anybody waits for it.
func TestTheNextSegmentHasItsRoomBeforeItIsNeeded(t *testing.T) {
	hold := make(chan struct{})
	q := opened(t, t.TempDir(), Options{segmentSize: 1 << 20, Fault: func(step string) error {
		if step == "apply" {
			<-hold
		}
		return nil
	}})
	t.Cleanup(func() { close(hold) }) // before the queue is closed
	ready := func() bool {
		j := q.journalNow()
		j.spareMu.Lock()
		defer j.spareMu.Unlock()
		return j.spare != nil
	}
	op := capture("", "ref")
	op.Data = json.RawMessage(`"` + strings.Repeat("x", 200<<10) + `"`)
	for i := range 12 { // five fill a segment
		eventually(t, ready)
		op.ID = fmt.Sprint(i)
		put(t, q, op)
	}
}

// Upkeep may still hold a journal that the writer has closed and opened anew. It must
// not make files that the new one takes for its own.
func TestAClosedJournalMakesNoFiles(t *testing.T) {
	d := newForgetful()
	j := &journal{disk: d, size: headSize}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if err := j.prepare(); !errors.Is(err, ErrClosed) {
		t.Errorf("prepare: %v", err)
	}
	if err := j.start(position{}); !errors.Is(err, ErrClosed) {
		t.Errorf("start: %v", err)
	}
	if names, _ := d.list(); len(names) > 0 {
		t.Errorf("made %v", names)
	}
}

func TestAllZero(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, 8, 9, 512, 4097} {
		b := make([]byte, n)
		if !allZero(b) {
			t.Errorf("%d zeros are not zero", n)
		}
		for i := range b {
			b[i] = 1
			if allZero(b) {
				t.Errorf("%d bytes with a 1 at %d are zero", n, i)
			}
			b[i] = 0
		}
	}
}
