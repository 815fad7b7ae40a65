package offlinequeue

import (
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
		b := make([]byte, headBytes)
		if _, err := s.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if head, ok := decodeHead(b); !ok || head.number != s.before.number || d.names[s.name] != s.file {
			t.Fatalf("segment %s has the head of %d (%v), or another's file", s.name, head.number, ok)
		}
	}
}
