package offlinequeue

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// encrypted runs all tests of the package on encrypted queues: make soak. Without it
// TestEncrypted runs those of the proofs that are about what lies on a disk.
var encrypted = flag.Bool("encrypted", false, "run all tests with encryption at rest")

// testKeys are what queues of tests are encrypted with; none: they are not. Tests of
// this package run one after the other.
var testKeys []Key

// keyEnv is set for the processes that are to be killed.
const keyEnv = "OFFLINEQUEUE_KEY"

func keyOfTests(n byte) Key {
	k := Key{}
	for i := range k.b {
		k.b[i] = n + byte(i)
	}
	return k
}

// withKeys has all queues of a test encrypted.
func withKeys(t *testing.T) {
	t.Helper()
	before := testKeys
	testKeys = []Key{keyOfTests(1)}
	t.Setenv(keyEnv, hex.EncodeToString(testKeys[0].b[:]))
	t.Cleanup(func() { testKeys = before })
}

// keysOfChild are those that the test gave its process.
func keysOfChild() []Key {
	text := os.Getenv(keyEnv)
	if text == "" {
		return nil
	}
	keys, err := ParseKeys([]byte(text))
	if err != nil {
		panic(err)
	}
	return keys
}

func testStoreKey() []byte {
	if len(testKeys) == 0 {
		return nil
	}
	return newSeal(testKeys[0]).storeKey()
}

// openAs is Open with the keys of the tests.
func openAs(dir string, o Options) (*Queue, error) {
	if o.Keys == nil {
		o.Keys = testKeys
	}
	return Open(dir, o)
}

// small says that a proof has its small form: of an encrypted queue too, where it has
// its whole one without.
func small() bool { return testing.Short() || len(testKeys) > 0 && !*encrypted }

// few has a random walk be walked three times only.
func few(t *testing.T) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	t.Cleanup(func() { _ = f.Value.Set(before) })
	if err := f.Value.Set("3"); err != nil {
		t.Fatal(err)
	}
}

// The claim: what is promised of a queue is promised of an encrypted one. The proofs
// are the same.
func TestEncrypted(t *testing.T) {
	if *encrypted {
		t.Skip("all of them are")
	}
	for name, proof := range map[string]func(*testing.T){
		"process":       TestNothingAcknowledgedIsLostWhenKilled,
		"power":         TestNothingAcknowledgedIsLostWhenThePowerGoes,
		"torn tail":     TestATornTailIsCutAtEveryByte,
		"rot":           TestOneFlippedByteIsHarmlessOrNamed,
		"either lost":   TestEitherDirectoryMayBeLost,
		"room":          TestTheJournalGoesOnAloneBelowTheReserve,
		"carry":         TestOldSegmentsGoAndNothingWithThem,
		"value log":     TestARottenValueLogIsMadeGoodFromTheJournal,
		"not flushed":   TestWhatBadgerDidNotFlushIsAppliedAgain,
		"upkeep":        TestUpkeepReadsTheValueLogs,
		"mirror":        TestWhatIsAcknowledgedIsOnBothDisks,
		"mirror heals":  TestWhatHasRottedIsTakenFromTheSecondCopy,
		"mirror opens":  TestAHubWhoseDiskIsGoneOpensFromTheSecondCopy,
		"mirror's past": TestASecondCopyOfAnotherHistoryIsKept,
		"model": func(t *testing.T) {
			few(t)
			TestQueueAgainstAMap(t)
		},
		"hint":       TestAHintSaysWhatAllOfTheStateSays,
		"hint lost":  TestAHintThatIsLostOrDamagedLosesNothing,
		"proof":      TestAnOpenQueueVerifiesItself,
		"goroutines": TestCloseEndsEveryGoroutine,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			withKeys(t)
			proof(t)
		})
	}
}

// secretText is in everything that secrets puts, and nowhere else.
const secretText = "PlainTextOfACustomer"

// secrets puts operations whose every field is a secret, of all sizes, and has some of
// them ended.
func secrets(t *testing.T, q *Queue, from, n int) map[string]Op {
	t.Helper()
	acknowledged := map[string]Op{}
	var outs []Outcome
	for i := from; i < from+n; i++ {
		op := capture(fmt.Sprint(secretText, "-id-", i), fmt.Sprint(secretText, "-ref-", i%7))
		op.Hash, op.Till, op.Currency = secretText+"-hash", secretText+"-till", secretText
		op.Data = json.RawMessage(fmt.Sprintf(`{"lines":"%s"}`, strings.Repeat(secretText+" ", 1+i*7%90)))
		acknowledged[op.ID] = put(t, q, op)
		if i%3 == 0 {
			outs = append(outs, Outcome{ID: op.ID, State: Succeeded, Message: secretText, Result: json.RawMessage(`"` + secretText + `"`)})
		}
	}
	settle(t, q, Cursor{}, append(outs, Outcome{ID: secretText + "-stray", State: Failed, Reason: secretText})...)
	return acknowledged
}

// plain lists the files below dirs that hold some of it.
func plain(t *testing.T, dirs ...string) (list []string) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(name)
			if bytes.Contains(b, []byte(secretText)) || bytes.Contains(b, testKeys1.b[:]) || bytes.Contains(b, []byte(hex.EncodeToString(testKeys1.b[:]))) {
				at, _ := filepath.Rel(dir, name)
				list = append(list, at)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}

var testKeys1, testKeys2 = keyOfTests(1), keyOfTests(99)

// The claim: with a key, nothing that a till said is to be read in any file of the
// queue, nor of its second copy, whether it is open, killed, closed or damaged. Without
// one it is: so the test looks where it is.
func TestNothingIsPlainAtRest(t *testing.T) {
	for _, keys := range [][]Key{nil, {testKeys1}} {
		dir, second := filepath.Join(t.TempDir(), "queue"), filepath.Join(t.TempDir(), "second")
		if err := os.Mkdir(second, 0o700); err != nil {
			t.Fatal(err)
		}
		o := hinted(Options{Keys: keys, mirror: osDisk(second)})
		if keys == nil {
			o.Keys = []Key{}
		}
		q := opened(t, dir, o)
		acknowledged := secrets(t, q, 0, 60)
		if err := q.level(); err != nil {
			t.Fatal(err)
		}
		found := plain(t, dir, second)
		copied := filepath.Join(t.TempDir(), "killed")
		if err := duplicated(copied, dir); err != nil {
			t.Fatal(err)
		}
		closed(t, q)
		if err := scribble(filepath.Join(dir, storeName, "*.sst")); err != nil {
			t.Fatal(err)
		}
		q = opened(t, dir, o) // sets the store aside
		intact(t, q, acknowledged)
		for id, want := range acknowledged {
			if got := get(t, q, id); string(got.Data) != string(want.Data) || got.Ref != want.Ref || got.Till != want.Till {
				t.Errorf("%s came back as %+v", id, got)
			}
		}
		closed(t, q)
		found = append(found, plain(t, dir, second, copied)...)
		if keys != nil && len(found) > 0 {
			t.Errorf("not encrypted: %q", found)
		}
		if all := strings.Join(found, " "); keys == nil {
			for _, kind := range []string{segmentSuffix, ".mem", ".sst", ".vlog"} {
				if !strings.Contains(all, kind) {
					t.Errorf("without a key no file *%s has it: %q", kind, found)
				}
			}
		}
	}
}

// A key that is missing or wrong is refused in words before anything is touched: it is
// no damage. So it is for who only reads.
func TestAWrongKeyTouchesNothing(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]Op{"op1": {}}
	q := opened(t, dir, Options{Keys: []Key{testKeys1}})
	acknowledged["op1"] = put(t, q, capture("op1", "pi"))
	closed(t, q)
	before := files(t, dir)
	for _, keys := range [][]Key{{}, {testKeys2}} {
		_, err := Open(dir, Options{Log: quiet(), Keys: keys})
		_, verified := Verify(dir, keys...)
		examined := Examine(dir, func(Report, *Queue) error { return nil }, keys...)
		var listed error
		for _, err := range Read(dir, keys...) {
			listed = err
		}
		for what, err := range map[string]error{"open": err, "verify": verified, "examine": examined, "read": listed} {
			if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), testKeys1.ID()) {
				t.Errorf("%s with keys %v: %v", what, keys, err)
			}
			if len(keys) > 0 && (err == nil || !strings.Contains(err.Error(), testKeys2.ID())) {
				t.Errorf("%s: which key was given is not said: %v", what, err)
			}
		}
	}
	equal(t, "files", files(t, dir), before)
	r, err := Verify(dir, testKeys2, testKeys1)
	if err != nil || !r.OK() || r.Key != testKeys1.ID() || r.Operations != 1 {
		t.Errorf("verify: %+v, %v", r, err)
	}
	equal(t, "files", files(t, dir), before)

	// The name of its key is lost: the journal tells.
	if err := os.WriteFile(filepath.Join(dir, keyName), []byte("0011223344556677 00000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{Log: quiet(), Keys: []Key{testKeys2}}); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), testKeys1.ID()) {
		t.Errorf("with a damaged name: %v", err)
	}
	q = opened(t, dir, Options{Keys: []Key{testKeys1}})
	intact(t, q, acknowledged)
	closed(t, q)
	if b, err := os.ReadFile(filepath.Join(dir, keyName)); err != nil || string(b) != string(encodeID(testKeys1.ID())) {
		t.Errorf("the name was not written again: %q, %v", b, err)
	}
	// And that too: nobody can tell, so nothing is done.
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, journalName)), os.WriteFile(filepath.Join(dir, keyName), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{Log: quiet(), Keys: []Key{testKeys1}}); !errors.Is(err, ErrKey) {
		t.Errorf("nothing tells: %v", err)
	}
}

// A queue that was not encrypted, or with another key, is encrypted when it is opened.
// That may fail or be cut off at any step; the next opening ends it, or begins anew, and
// nothing acknowledged is lost. Nothing of it is plain afterwards, in its second copy
// neither.
func TestAQueueIsEncryptedOnce(t *testing.T) {
	steps := []string{
		"open:journal", "encrypt:store", "encrypt:journal:open:journal", "encrypt:journal:carry:journal", "encrypt:journal:migrate:format",
		"encrypt:mirror", "encrypt:count", "encrypt:replace-store", "encrypt:replace-journal", "encrypt:remove", "",
	}
	for _, c := range []struct {
		name  string
		first []Key
		then  []Key
	}{
		{"from plain", []Key{}, []Key{testKeys1}},
		{"from another key", []Key{testKeys2}, []Key{testKeys1, testKeys2}},
	} {
		for _, step := range steps {
			if (small() || len(c.first) > 0) && step != "" && step != "encrypt:replace-journal" {
				continue // the same steps
			}
			t.Run(c.name+" "+step, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "queue")
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				second := otherDisk(t, dir)
				o := Options{Keys: c.first, Mirror: second, Owner: "0412", segmentSize: 1 << 20}
				q := opened(t, dir, o)
				hq := newHeadquarters()
				offered(t, q, hq, 4, 2)
				acknowledged := secrets(t, q, 0, 10)
				for op, err := range q.All() {
					if err != nil {
						t.Fatal(err)
					}
					acknowledged[op.ID] = op
				}
				cursor := q.Cursor()
				closed(t, q)

				o.Keys, o.Log = c.then, quiet()
				if step != "" {
					broken := o
					hits := 0
					broken.Fault = func(s string) error {
						if s == step {
							hits++
							return errInjected
						}
						return nil
					}
					for range 2 {
						if q, err := Open(dir, broken); err == nil {
							closeBroken(q)
						} else if !errors.Is(err, errInjected) && !errors.Is(err, errBroken) {
							t.Fatalf("open: %v", err)
						}
					}
					if hits == 0 {
						t.Error("there is no such step")
					}
				}
				q = opened(t, dir, o)
				if away := q.Stats().Mirror.Away; away != "" {
					t.Errorf("the second copy is away: %s", away)
				}
				intact(t, q, acknowledged)
				for id, want := range acknowledged {
					equal(t, id, get(t, q, id), want)
				}
				equal(t, "cursor", q.Cursor(), cursor)
				acknowledged["after"] = put(t, q, capture("after", "pi"))
				closed(t, q)
				if found := plain(t, dir, second); len(found) > 0 {
					t.Errorf("plain: %q", found)
				}
				for _, place := range []string{dir, second} {
					if id, _, err := keyOf(place, osDisk(filepath.Join(place, journalName))); err != nil || id != testKeys1.ID() {
						t.Errorf("%s is under key %q (%v)", place, id, err)
					}
					names, err := filepath.Glob(filepath.Join(place, "*"))
					for _, name := range names {
						if b := filepath.Base(name); err != nil || b == sealedName || strings.HasSuffix(b, oldSuffix) || strings.HasPrefix(b, asideName) {
							t.Errorf("left behind: %s", name)
						}
					}
				}
				// Whatever is lost now: one key is enough, and the other half tells.
				o.Keys = []Key{testKeys1}
				for _, lost := range []string{filepath.Join(dir, storeName), filepath.Join(dir, journalName), dir} {
					if err := os.RemoveAll(lost); err != nil {
						t.Fatal(err)
					}
					q = opened(t, dir, o)
					intact(t, q, acknowledged)
					closed(t, q)
				}
			})
		}
	}
}

// A hub whose disk is gone does not begin anew beside a second copy that it cannot open.
func TestASecondCopyIsNotOpenedWithoutItsKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	second := otherDisk(t, dir)
	o := Options{Keys: []Key{testKeys1}, Mirror: second, Owner: "0412", Log: quiet()}
	q := opened(t, dir, o)
	acknowledged := map[string]Op{"op1": put(t, q, capture("op1", "pi"))}
	closed(t, q)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][]Key{{}, {testKeys2}} {
		other := o
		other.Keys = keys
		if _, err := Open(dir, other); !errors.Is(err, ErrKey) {
			t.Errorf("with keys %v: %v", keys, err)
		}
	}
	q = opened(t, dir, o)
	intact(t, q, acknowledged)
	closed(t, q)
	// A queue that is not encrypted does not take it for its own, nor write to it.
	before := files(t, second)
	q = opened(t, t.TempDir(), Options{Keys: []Key{}})
	closed(t, q)
	plain := o
	plain.Keys = []Key{}
	q = opened(t, q.dir, plain)
	if away := q.Stats().Mirror.Away; !strings.Contains(away, testKeys1.ID()) {
		t.Errorf("the second copy of another key is %q", away)
	}
	equal(t, "the second copy", files(t, second), before)
}
