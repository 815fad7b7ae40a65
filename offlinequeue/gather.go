package offlinequeue

import "encoding/binary"

// gathered is how keys stand after some records of the journal: a key that several of
// them wrote is there once. An operation that is numbered, taken and ended in one breath
// goes into Badger once instead of three times.
type gathered struct {
	at     map[string]int // by key, which of the list
	list   []stands
	size   int      // about what a transaction with it takes
	chunks [][]byte // keys and values; kept for the next
	chunk  int      // the one that is filled
}

// stands is a key, and behind it what the store has under it: see tx.set.
type stands struct {
	b       []byte
	key     int // length
	deleted bool
}

const (
	// entryOver is more than Badger takes for a key and its value beside their bytes, in a
	// transaction and in memory.
	entryOver = 100
	chunkSize = 256 << 10
)

func newGathered() *gathered { return &gathered{at: map[string]int{}} }

// reset begins anew; what was gathered is no longer to be used.
func (g *gathered) reset() {
	clear(g.at)
	clear(g.list)
	g.list, g.size, g.chunk = g.list[:0], 0, 0
	for i := range g.chunks {
		g.chunks[i] = g.chunks[i][:0]
	}
}

// add takes in one write of a record.
func (g *gathered) add(w write, number uint64) {
	n := len(w.key)
	i, again := g.at[w.key]
	if !again {
		i = len(g.list)
		g.at[w.key] = i
		g.list = append(g.list, stands{})
		g.size += n + entryOver
	}
	s := &g.list[i]
	g.size += len(w.value) + 8 - max(0, len(s.b)-s.key)
	if want := n + 8 + len(w.value); cap(s.b) < want {
		s.b = g.take(want)
	} else {
		s.b = s.b[:want]
	}
	s.key, s.deleted = n, w.deleted
	copy(s.b, w.key)
	binary.BigEndian.PutUint64(s.b[n:], number)
	copy(s.b[n+8:], w.value)
}

// take is room that stays until reset.
func (g *gathered) take(n int) []byte {
	for ; g.chunk < len(g.chunks); g.chunk++ {
		if c := g.chunks[g.chunk]; cap(c)-len(c) >= n {
			at := len(c)
			g.chunks[g.chunk] = c[:at+n]
			return c[at : at+n : at+n]
		}
	}
	g.chunks = append(g.chunks, make([]byte, n, max(n, chunkSize)))
	c := g.chunks[g.chunk]
	return c[:n:n]
}

// write puts all of it into a transaction.
func (g *gathered) write(t *tx) error {
	for _, s := range g.list {
		var err error
		if s.deleted {
			err = t.t.Delete(s.b[:s.key:s.key])
		} else {
			err = t.t.Set(s.b[:s.key:s.key], s.b[s.key:])
		}
		if err != nil {
			return err
		}
	}
	return nil
}
