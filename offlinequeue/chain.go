package offlinequeue

import (
	"crypto/sha256"
	"encoding/hex"
)

// Chain is the head of the submit chain after id. The head before the first
// operation is "".
func Chain(head, id string) string {
	sum := sha256.Sum256([]byte(head + id))
	return hex.EncodeToString(sum[:])
}

// maxChains bounds how many chains are remembered. A number of a chain that was
// forgotten is offered again, which headquarters takes for what it is.
const maxChains = 64

// chain is one run of submission numbers. Numbers begin at Start+1; Head is the
// head at Start. Of the numbers given before this chain began, those up to Kept
// are still headquarters' too.
type chain struct {
	Gen   uint32 `json:"gen"`
	Epoch string `json:"epoch,omitempty"` // set when the chain is left for another epoch's
	Start uint64 `json:"start"`
	Head  string `json:"head,omitempty"`
	Kept  uint64 `json:"kept,omitempty"`
}

// gen is the generation that new numbers belong to.
func (s *state) gen() uint32 { return s.Chains[len(s.Chains)-1].Gen }

// holds reports whether a number of generation gen still stands.
func (s *state) holds(gen uint32, number uint64) bool {
	if number == 0 {
		return false
	}
	for i := len(s.Chains) - 1; i >= 0; i-- {
		if s.Chains[i].Gen == gen {
			return true
		}
		if number > s.Chains[i].Kept {
			return false
		}
	}
	return false
}

// place finds which generation a number of today's chain belongs to. When the
// number is where a generation began, the head is known at once.
func (s *state) place(number uint64) (gen uint32, head string, atStart, ok bool) {
	for i := len(s.Chains) - 1; i >= 0; i-- {
		c := s.Chains[i]
		switch {
		case number > c.Start:
			return c.Gen, "", false, number <= s.Tail
		case number == c.Start:
			return c.Gen, c.Head, true, true
		case number > c.Kept:
			return 0, "", false, false
		}
	}
	return 0, "", false, false
}

// begin starts a new chain at start, keeping earlier numbers up to kept.
func (s *state) begin(start uint64, head string, kept uint64) {
	last := &s.Chains[len(s.Chains)-1]
	last.Epoch = s.Cursor.Epoch
	s.Chains = append(s.Chains, chain{Gen: last.Gen + 1, Start: start, Head: head, Kept: kept})
	if n := len(s.Chains) - maxChains; n > 0 {
		s.Chains = append([]chain(nil), s.Chains[n:]...)
	}
	s.Tail, s.Head, s.dirty = start, head, true
}

// withdraw takes back the numbers that headquarters does not have. Numbers that were
// never its are given again; a chain of which it took nothing leaves no trace.
func (s *state) withdraw() {
	if last := &s.Chains[len(s.Chains)-1]; last.Start == s.Cursor.AcceptedThrough {
		last.Gen++
		s.Tail, s.Head, s.dirty = last.Start, last.Head, true
		return
	}
	s.begin(s.Cursor.AcceptedThrough, s.Cursor.Head, s.Cursor.AcceptedThrough)
}

// left reports whether epoch is one that was left behind: what still arrives
// under it is late.
func (s *state) left(epoch string) bool {
	if epoch == s.Cursor.Epoch {
		return false
	}
	for _, c := range s.Chains[:len(s.Chains)-1] {
		if c.Epoch != "" && c.Epoch == epoch {
			return true
		}
	}
	return false
}
