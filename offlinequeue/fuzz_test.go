package offlinequeue

import (
	"strings"
	"testing"
)

// A record that is read is one that was written under that id; anything else is
// an error, never a panic.
func FuzzDecodeRecord(f *testing.F) {
	good, err := frame(record{Op: Op{ID: "op1", Seq: 3, Kind: "capture", Ref: "pi_1", State: Pending}, Gen: 2})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("op1", good)
	f.Add("op2", good)
	f.Add("op1", good[:len(good)-1])
	f.Add("", []byte{})
	f.Add("", []byte{frameVersion, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, id string, b []byte) {
		r, err := decodeRecord(id, b)
		if err != nil {
			return
		}
		if r.ID != id || r.Seq == 0 || r.size != len(b) {
			t.Errorf("read %+v under %q", r, id)
		}
		if _, err := frame(r); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}

// The state: as above.
func FuzzDecodeState(f *testing.F) {
	st := newState()
	st.begin(7, Chain("", "op1"), 7)
	good, err := frame(st)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, uint64(7))
	f.Add(good[:9], uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, n uint64) {
		st, err := decodeState(b)
		if err != nil {
			return
		}
		// What is asked of it answers, whatever it says.
		st.holds(st.gen(), n)
		st.place(n)
		st.left("e")
		st.begin(n, "", n)
	})
}

// A mark that is read is one that was written.
func FuzzDecodeMark(f *testing.F) {
	for _, m := range []mark{{}, {1, 2, 3, Chain("", "op1")}, {1 << 63, 1, 1, strings.Repeat("0", 63) + "1"}} {
		b, err := m.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:markSize-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMark(b)
		if err != nil {
			return
		}
		again, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != string(b[:markSize]) {
			t.Errorf("%x is written again as %x", b[:markSize], again)
		}
	})
}
