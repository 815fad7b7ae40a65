package hub

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"storehub/doors"
)

// TestWhatIsGoodToKnowWearsNoDisk: a till that asks all the time has its last use
// written six times an hour, and what was saved last is at most so old.
func TestWhatIsGoodToKnowWearsNoDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		tills, err := OpenTills(dir)
		if err != nil {
			t.Fatal(err)
		}
		credential, err := tills.Pair("lane-1", doors.ScopePOS, doors.Test)
		if err != nil {
			t.Fatal(err)
		}
		marks, err := openMarks(dir)
		if err != nil {
			t.Fatal(err)
		}
		h := &Hub{tills: tills, marks: marks, log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.save(ctx) }()

		var before [2]string
		var writes [2]int
		for range 6 * 60 {
			tills.lookup(credential)
			marks.set(markCapture, time.Now())
			time.Sleep(10 * time.Second) // of the bubble
			synctest.Wait()
			for i, name := range []string{"tills.json", "checklist.json"} {
				b, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil && !notExist(err) {
					t.Fatal(err)
				}
				if string(b) != before[i] {
					writes[i]++
				}
				before[i] = string(b)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		// The pairing itself was the first write of the tills.
		if writes != [2]int{7, 6} {
			t.Errorf("%d writes of tills, %d of marks in an hour, want the pairing and 6, and 6", writes[0], writes[1])
		}
		kept, err := OpenTills(dir)
		if err != nil {
			t.Fatal(err)
		}
		if list := kept.List(); len(list) != 1 || time.Since(list[0].LastUsed) > saveEvery {
			t.Errorf("saved: %+v", list)
		}
	})
}
