package offlinequeue

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// testdata/format1 was left by the program that wrote that format: four operations
// that headquarters has, two of them ended, one that waits, an outcome whose operation
// never came.
func TestAQueueOfFormat1IsCarriedOverOnce(t *testing.T) {
	for _, step := range []string{"", "migrate:copy", "migrate:rename", "carry:journal", "migrate:format"} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS("testdata/format1")); err != nil {
				t.Fatal(err)
			}
			if step != "" {
				for range 2 {
					_, err := openAs(dir, Options{Log: quiet(), Fault: func(s string) error {
						if s == step {
							return errInjected
						}
						return nil
					}})
					if !errors.Is(err, errInjected) {
						t.Fatalf("open: %v", err)
					}
				}
			}
			q := opened(t, dir, Options{})
			equal(t, "held", ids(t, q), []string{"waits", "op03", "op02", "op01", "op00"})
			for id, want := range map[string]State{"op00": Succeeded, "op01": Failed, "op02": Accepted, "op03": Accepted, "waits": Pending} {
				if op := get(t, q, id); op.State != want || op.Hash != "hash of "+id || *op.Amount != 1250 || string(op.Data) != `{"order":"A-17"}` {
					t.Errorf("%s: %+v", id, op)
				}
			}
			if op := get(t, q, "op00"); op.Number != 1 || string(op.Result) != `{"a":1}` {
				t.Errorf("op00: %+v", op)
			}
			if c := q.Cursor(); c.Epoch != "epoch 1" || c.Seq != 3 || c.AcceptedThrough != 4 {
				t.Errorf("cursor: %+v", c)
			}
			if s := q.Stats(); len(s.Damaged) > 0 {
				t.Errorf("damaged: %q", s.Damaged)
			}
			if op := put(t, q, capture("never came", "pi")); op.State != Succeeded || op.Seq != 6 {
				t.Errorf("never came: %+v", op)
			}
			closed(t, q)
			for _, name := range []string{oldStoreName, oldWitnessName} {
				if there, _ := exists(filepath.Join(dir, name)); there {
					t.Errorf("%s is left", name)
				}
			}
			// The journal has all of it now.
			if err := os.RemoveAll(filepath.Join(dir, storeName)); err != nil {
				t.Fatal(err)
			}
			q = opened(t, dir, Options{})
			equal(t, "held by the journal", ids(t, q), []string{"never came", "waits", "op03", "op02", "op01", "op00"})
			if s := q.Stats(); len(s.Damaged) > 0 {
				t.Errorf("damaged: %q", s.Damaged)
			}
		})
	}
}
