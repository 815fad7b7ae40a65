package offlinequeue

import (
	"bytes"
	"testing"
)

// What several records wrote of one key goes into the store once, as the last of them
// says it, whether it grew, shrank or went.
func TestAKeyThatIsWrittenAgainGoesIntoTheStoreOnce(t *testing.T) {
	s, err := openStore(t.TempDir(), quiet(), testStoreKey())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	set := func(key, value string) write { return write{key: key, value: []byte(value)} }
	g := newGathered()
	for range 2 { // the second time it has room from the first
		g.reset()
		for i, w := range []write{
			set("s/grows", "a"), set("s/shrinks", "long"), set("s/goes", "x"), set("s/comes", "y"), {key: "s/comes", deleted: true},
			set("s/grows", string(bytes.Repeat([]byte("b"), 2*chunkSize))), set("s/shrinks", ""), {key: "s/goes", deleted: true}, set("s/comes", "back"),
		} {
			g.add(w, uint64(i+1))
		}
		if len(g.list) != 4 {
			t.Errorf("%d keys were gathered, want 4", len(g.list))
		}
		want := 0
		for _, e := range g.list {
			want += len(e.b) + entryOver
		}
		if g.size != want {
			t.Errorf("it says %d bytes, and has %d", g.size, want)
		}
	}
	if err := s.update(g.write); err != nil {
		t.Fatal(err)
	}
	if err := s.refresh(); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]struct {
		length int
		number uint64
	}{"s/grows": {2 * chunkSize, 6}, "s/shrinks": {0, 7}, "s/goes": {-1, 0}, "s/comes": {4, 9}} {
		value, number, err := s.get(key)
		if err != nil {
			if want.length >= 0 {
				t.Errorf("%s: %v", key, err)
			}
			continue
		}
		if len(value) != want.length || number != want.number {
			t.Errorf("%s has %d bytes of record %d, want %d of %d", key, len(value), number, want.length, want.number)
		}
	}
}
