package offlinequeue

import (
	"errors"
	"fmt"
	"testing"
)

// A change fits one transaction, so that Badger has it whole or not at all.
func TestAChangeFitsOneTransaction(t *testing.T) {
	o := storeOptions(t.TempDir(), quiet(), testStoreKey())
	if !o.VerifyValueChecksum {
		t.Error("what rotted in the value log is read without a word")
	}
	// Badger counts little of what goes to the value log: of the largest operation, its key.
	const last = maxID + valueThreshold + entryOver
	if room := o.MemTableSize * 15 / 100; groupBytes+last > room {
		t.Errorf("a group may have %d bytes, a transaction %d", groupBytes+last, room)
	}
	// A table that was just in memory fits what Badger makes any table in, and keeps.
	if o.MemTableSize > 2*o.BaseTableSize || o.TableSizeMultiplier != 1 {
		t.Errorf("tables of %d bytes, times %d a level, are made of %d in memory", o.BaseTableSize, o.TableSizeMultiplier, o.MemTableSize)
	}
}

func TestScanGoesBothWaysAndStops(t *testing.T) {
	s, err := openStore(t.TempDir(), quiet(), testStoreKey())
	if err != nil {
		t.Fatal(err)
	}
	err = s.update(func(t *tx) error {
		for _, key := range []string{"a/1", "a/2", "a/3", "b/1"} {
			if err := t.set(key, []byte("at "+key), 7); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	scan := func(from string, reverse bool, most int) (keys []string) {
		err := s.view(func(t *tx) error {
			return t.scan("a/", from, reverse, func(key string, value []byte, number uint64) (bool, error) {
				if string(value) != "at "+key || number != 7 {
					return false, fmt.Errorf("%s has %q", key, value)
				}
				keys = append(keys, key)
				return len(keys) < most, nil
			})
		})
		if err != nil {
			t.Error(err)
		}
		return keys
	}
	equal(t, "forward", scan("", false, 9), []string{"a/1", "a/2", "a/3"})
	equal(t, "backward", scan("", true, 9), []string{"a/3", "a/2", "a/1"})
	equal(t, "from", scan("a/2", false, 9), []string{"a/2", "a/3"})
	equal(t, "backward from, two", scan("a/2", true, 2), []string{"a/2", "a/1"})
	if err := errors.Join(s.close(), s.close()); err != nil {
		t.Error(err)
	}
	if err := s.view(func(*tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("view of a closed store: %v", err)
	}
}

func TestMissingPlacesAreNamed(t *testing.T) {
	for _, c := range []struct {
		held         []uint64
		last, pruned uint64
		known        bool
		want         []string
	}{
		{nil, 0, 0, true, nil},
		{[]uint64{1, 2, 3}, 3, 0, true, nil},
		{[]uint64{3, 1}, 3, 0, true, []string{"missing: operation 2"}},
		{[]uint64{2, 5}, 9, 0, true, []string{"missing: operations 1, 3 to 4, 6 to 9"}},
		{[]uint64{3, 4}, 4, 2, true, nil},
		{[]uint64{3}, 4, 2, true, []string{"missing: operations 1 to 2, 4", "2 of these ended long ago and were pruned"}},
		{[]uint64{3}, 3, 0, false, []string{"missing: operations 1 to 2", "some of these may have ended long ago and been pruned"}},
	} {
		equal(t, fmt.Sprint(c.held, c.last), missing(c.held, c.last, c.pruned, c.known), c.want)
	}
}
