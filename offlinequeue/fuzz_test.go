package offlinequeue

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"
)

// What is read of an operation is what was written; anything else is an error, never
// a panic.
func FuzzDecodeStanding(f *testing.F) {
	good := (&record{Op: Op{ID: "op1", Seq: 3, Kind: "capture", Ref: "pi_1", State: Pending, Created: time.Unix(1, 2)}, Gen: 2}).stand()
	f.Add(uint64(3), good)
	f.Add(uint64(0), good)
	f.Add(uint64(3), good[:len(good)-1])
	f.Add(uint64(1), []byte{})
	f.Add(uint64(1), []byte{frameVersion, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, seq uint64, b []byte) {
		r, err := decodeStanding(seq, b)
		if err != nil {
			return
		}
		again, err := decodeStanding(seq, r.stand())
		if err != nil {
			t.Fatal(err)
		}
		if again.ID != r.ID || again.Seq != seq || again.State != r.State || !again.Changed.Equal(r.Changed) {
			t.Errorf("read %+v, then %+v", r, again)
		}
	})
}

func FuzzDecodeAsked(f *testing.F) {
	amount := int64(-7)
	f.Add((&record{Op: Op{Hash: "h", Amount: &amount, Data: []byte("{}")}}).ask())
	f.Add((&record{}).ask())
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again record
		if r.asks(b) != nil {
			return
		}
		if err := again.asks(r.ask()); err != nil {
			t.Fatal(err)
		}
		if again.Hash != r.Hash || string(again.Data) != string(r.Data) || (again.Data == nil) != (r.Data == nil) {
			t.Errorf("read %+v, then %+v", r, again)
		}
	})
}

// The state: as above.
func FuzzDecodeState(f *testing.F) {
	st := newState()
	st.begin(7, Chain("", "op1"), 7)
	st.Cursor = Cursor{Epoch: "e", Seq: 3, AcceptedThrough: 2, Head: "no hash"}
	h, err := frame(st.history)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(st.encode(), h, uint64(7))
	f.Add(st.encode()[:9], []byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, marks, history []byte, n uint64) {
		st := newState()
		if st.decode(marks) == nil {
			var again state
			if err := again.decode(st.encode()); err != nil || again.Head != st.Head || again.Cursor != st.Cursor {
				t.Errorf("read %+v, then %+v (%v)", st, again, err)
			}
		}
		if st.remember(history) != nil {
			return
		}
		// What is asked of it answers, whatever it says.
		st.holds(st.gen(), n)
		st.place(n)
		st.left("e")
		st.begin(n, "", n)
	})
}

// A record that is read is one that was written; anything else is no record.
func FuzzParseRecord(f *testing.F) {
	g := &flushGroup{}
	g.begin()
	g.buf = appendWrite(g.buf, write{key: "o/1", value: []byte("value")})
	g.buf = appendWrite(g.buf, write{key: "s/1", deleted: true})
	if err := g.end(kindPut); err != nil {
		f.Fatal(err)
	}
	f.Add(g.buf)
	f.Add(g.buf[:recordHeader])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := parseRecord(b)
		if !ok {
			return
		}
		var again []byte
		err := eachWrite(r.payload, func(w write) error {
			if !w.deleted && string(r.payload[w.at:w.at+len(w.value)]) != string(w.value) {
				t.Errorf("%q is not at %d", w.value, w.at)
			}
			again = appendWrite(again, w)
			return nil
		})
		if err == nil && len(again) > len(r.payload) {
			t.Errorf("%x is written again as %x", r.payload, again)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte("# a key\n" + hex.EncodeToString(testKeys1.b[:]) + "\n"))
	f.Add([]byte("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\r\n\n"))
	f.Add([]byte("00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := ParseKeys(text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys and %v", len(keys), err)
		}
		for _, k := range keys {
			said := fmt.Sprintf("%v %+v %#v %s", k, k, k, k)
			if strings.Contains(said, hex.EncodeToString(k.b[:])) || !strings.Contains(said, k.ID()) {
				t.Errorf("a key is told: %s", said)
			}
			if id, ok := decodeID(encodeID(k.ID())); !ok || id != k.ID() {
				t.Errorf("the id %q is read as %q", k.ID(), id)
			}
		}
	})
}

// What was sealed opens to what it was; anything else does not, and nothing panics.
func FuzzOpenSealed(f *testing.F) {
	s := newSeal(testKeys1)
	f.Add([]byte("payload"), uint16(0), byte(0))
	f.Add([]byte{}, uint16(3), byte(1))
	f.Fuzz(func(t *testing.T, payload []byte, at uint16, flip byte) {
		g := &flushGroup{seal: s}
		g.begin()
		g.buf = append(g.buf, payload...)
		if err := g.end(kindPut); err != nil {
			return
		}
		r, ok := parseRecord(g.buf)
		if !ok {
			t.Fatal("it is no record")
		}
		got, err := s.open(nil, &r)
		if err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("%x opens to %x (%v)", payload, got, err)
		}
		if len(payload) > 8 && bytes.Contains(g.buf, payload) {
			t.Error("it is not sealed")
		}
		b := bytes.Clone(r.payload[:len(r.payload)-1])
		b[int(at)%len(b)] ^= flip
		other := r
		other.payload = append(b, writeEnd)
		if _, err := s.open(nil, &other); (err == nil) != (flip == 0) {
			t.Errorf("flipped by %x: %v", flip, err)
		}
		other = r
		other.number++
		if _, err := s.open(nil, &other); err == nil {
			t.Error("it opens in another place")
		}
		if _, err := newSeal(testKeys2).open(nil, &r); err == nil {
			t.Error("it opens with another key")
		}
		if _, err := s.open(nil, &journalRecord{payload: payload}); err == nil {
			t.Error("what was never sealed opens")
		}
	})
}
