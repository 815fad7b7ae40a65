package storesim

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	_ "modernc.org/sqlite"

	"storehub/doors"
	"storehub/hq"
	"storehub/hub"
)

// config is what the hub runs by.
func (s *Store) config() hub.Config {
	s.t.Helper()
	f, err := os.Open(s.sys.ConfigFile)
	s.must("read configuration", err)
	defer f.Close()
	c, err := hub.ParseConfig(f, s.sys.ConfigFile)
	s.must("read configuration", err)
	return c
}

// verify is `hub queue verify` of the running hub.
func (s *Store) verify() hub.Verification {
	s.t.Helper()
	a, err := hub.DialAdmin(s.config().StateDir)
	s.must("reach hub", err)
	v, err := a.Verify(s.t.Context())
	s.must("verify queue", err)
	return v
}

// wantProved waits until nothing is missing and both sides show the same number and
// head, with a signature.
func (s *Store) wantProved() hub.Verification {
	s.t.Helper()
	var v hub.Verification
	s.Until("hub and headquarters show the same head", func() bool {
		v = s.verify()
		return v.Verdict() == hub.VerifiedWhole && v.Headquarters.Why == "" && v.Headquarters.Number > 0
	})
	h := v.Headquarters
	if h.Word == nil || h.Word.Number != h.Number || h.Word.Head != h.Ours || len(h.Gap) > 0 {
		s.t.Fatalf("proof: %+v", v)
	}
	return v
}

// hqDatabase lets a hand into headquarters' database, as an operator has it.
func (s *Store) hqDatabase(statements ...string) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(filepath.Dir(s.sys.ConfigFile), "hq.db")+"?_pragma=busy_timeout(10000)")
	s.must("open database", err)
	for _, q := range statements {
		_, err := db.Exec(q)
		s.must(q, err)
	}
	s.must("close database", db.Close())
}

// Headquarters has a bug: it breaks on one capture. The others go on, that one is
// parked with its reason, and goes through when the bug is mended and a person says so.
func TestStory_PoisonBesideGoodOnes(t *testing.T) {
	s := open(t)
	pos := s.Till()
	bad := pos.Authorise(1300)
	s.hqDatabase(fmt.Sprintf(`CREATE TRIGGER bug BEFORE INSERT ON operations WHEN NEW.ref = '%s' BEGIN SELECT RAISE(ABORT, 'bug'); END`, bad))
	pos.WantCapture(bad, http.StatusAccepted)
	var op doors.Operation
	for n := 0; op.Parked == nil; n++ {
		good := pos.Authorise(700)
		pos.Capture(good)
		pos.WantOutcome(doors.Capture, good, doors.Succeeded)
		s.WantCapturedOnce(good, 700)
		if op = pos.Operation(doors.Capture, bad); n > 20 {
			t.Fatalf("it is not parked: %+v", op)
		}
	}
	if op.State != doors.Pending || op.Parked.Reason != "answered_500" {
		t.Errorf("parked: %+v", op)
	}
	s.wantProved() // what headquarters accepted it has
	s.hqDatabase(`DROP TRIGGER bug`)
	s.PowerCut()
	s.Boot()
	a, err := hub.DialAdmin(s.config().StateDir)
	s.must("reach hub", err)
	if _, err := a.Retry(t.Context(), op.ID, hub.Deed{By: "Ada", Note: "the bug is mended"}); err != nil {
		t.Fatal(err)
	}
	pos.WantOutcome(doors.Capture, bad, doors.Succeeded)
	s.WantCapturedOnce(bad, 1300)
	s.wantProved()
}

// Headquarters' ledger is set back, by two hours and by four days, in the middle of
// traffic: some operations are with headquarters and without an end, some wait in the
// shop. The hub offers again what is lacking: nothing is lost, nothing is doubled, no
// state goes back, and both sides show the same head again.
func TestMoney_4_1_LedgerSetBackInMidTraffic(t *testing.T) {
	for _, back := range []time.Duration{2 * time.Hour, 4 * 24 * time.Hour} {
		t.Run(back.String(), func(t *testing.T) {
			s := open(t)
			pos := s.Till()
			sold := map[string]int64{}
			sell := func(amount int64) {
				pi := pos.Authorise(amount)
				pos.WantCapture(pi, http.StatusOK)
				sold[pi] = amount
			}
			sell(1000)
			sell(1100)
			backup := filepath.Join(t.TempDir(), "hq.db")
			s.hqDatabase(`VACUUM INTO '` + backup + `'`)
			before := s.wantProved()
			for i := range int64(4) {
				s.Pass(back / 4)
				sell(1200 + 100*i)
			}
			// With headquarters, and without an end when it is set back.
			stuck := pos.Authorise(2000)
			s.CutStripe()
			pos.WantCapture(stuck, http.StatusAccepted)
			s.Until("headquarters has the capture", func() bool { return pos.Operation(doors.Capture, stuck).State == doors.Accepted })
			s.StopHQ()
			// In the shop.
			s.MendStripe()
			waits := s.AuthoriseAtStripe(2100)
			pos.WantCapture(waits, http.StatusAccepted)
			database := filepath.Join(filepath.Dir(s.sys.ConfigFile), "hq.db")
			b, err := os.ReadFile(backup)
			s.must("read backup", err)
			for _, more := range []string{"-wal", "-shm"} {
				if err := os.Remove(database + more); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
			s.must("restore backup", os.WriteFile(database, b, 0o600))
			if v := s.verify(); v.Verdict() != hub.VerifiedUnknown || !v.Disk.OK() {
				t.Errorf("while headquarters is silent: %s, %+v", v.Verdict(), v)
			}
			s.BootHQ()
			sold[stuck], sold[waits] = 2000, 2100
			s.Until("tills hear of headquarters again", func() bool {
				pi, _ := pos.TryAuthorise(2200)
				if pi != "" {
					pos.Capture(pi)
					sold[pi] = 2200
				}
				return pi != ""
			})
			for pi, amount := range sold {
				pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
				s.WantCapturedOnce(pi, amount)
			}
			after := s.wantProved()
			if after.Headquarters.Word.Epoch == before.Headquarters.Word.Epoch || after.Headquarters.Word.Key != before.Headquarters.Word.Key {
				t.Errorf("before %+v\nafter %+v", before.Headquarters.Word, after.Headquarters.Word)
			}
		})
	}
}

// Of a hub that does not run, damaged or not, the proof is made from a copy of its
// disk: the same number and head as headquarters', and nothing is changed.
func TestStory_ProofWithoutTheHub(t *testing.T) {
	s := open(t)
	pos := s.Till()
	pi := pos.Authorise(1500)
	pos.WantCapture(pi, http.StatusOK)
	want := s.wantProved()
	c := s.config()
	s.must("stop hub", s.sys.StopHub())
	v, err := hub.VerifyStored(t.Context(), c, "", "")
	if err != nil || v.Verdict() != hub.VerifiedWhole || v.Headquarters.Word.Head != v.Headquarters.Ours || v.Headquarters.Number < want.Headquarters.Number {
		t.Fatalf("the stopped hub: %+v (%v)", v, err)
	}
	s.CutInternet()
	if v, err = hub.VerifyStored(t.Context(), c, "", ""); err != nil || v.Verdict() != hub.VerifiedUnknown {
		t.Errorf("headquarters silent: %s (%v)", v.Verdict(), err)
	}
	s.MendInternet()
	s.must("remove store", os.RemoveAll(filepath.Join(c.StateDir, "queue", "store")))
	if v, err = hub.VerifyStored(t.Context(), c, "", ""); err != nil || v.Verdict() != hub.VerifiedWrong || v.Headquarters.State != hub.ComparedEqual {
		t.Errorf("damaged: %+v (%v)", v, err)
	}
	if _, err := os.Stat(filepath.Join(c.StateDir, "queue", "store")); !os.IsNotExist(err) {
		t.Errorf("it was healed in place: %v", err)
	}
	// Headquarters lost the latest: it is named.
	s.hqDatabase(
		`DELETE FROM chain WHERE number = (SELECT max(accepted_through) FROM stores)`,
		`UPDATE stores SET accepted_through = accepted_through - 1`,
		`UPDATE stores SET head = (SELECT head FROM chain WHERE chain.store = stores.id AND chain.number = stores.accepted_through)`)
	v, err = hub.VerifyStored(t.Context(), c, "", "")
	if h := v.Headquarters; err != nil || h.State != hub.ComparedBehind || len(h.Gap) != 1 || h.Gap[0].ID == "" || h.Gap[0].Missing != "headquarters" {
		t.Errorf("headquarters behind: %+v (%v)", v, err)
	}
	s.hqDatabase(`UPDATE keys SET seed = '0000000000000000000000000000000000000000000000000000000000000001'`)
	s.StopHQ()
	s.BootHQ()
	if v, err = hub.VerifyStored(t.Context(), c, "", ""); err != nil || v.Headquarters.State != hub.ComparedDiffers {
		t.Errorf("another's word: %+v (%v)", v, err)
	}
	s.Boot()
	pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
	s.WantCapturedOnce(pi, 1500)
}

// The line stays down, and what is open is carried to headquarters by hand, twice; then
// the line is back and the hub delivers it too. Each sale is captured once.
func TestStory_CarriedByHandAndDeliveredToo(t *testing.T) {
	s := open(t)
	pos := s.Till()
	first, second := pos.Authorise(1400), pos.Authorise(1600)
	s.CutInternet()
	pos.WantCapture(first, http.StatusAccepted)
	pos.WantCapture(second, http.StatusAccepted)
	a, err := hub.DialAdmin(s.config().StateDir)
	s.must("reach hub", err)
	e, err := a.Export(t.Context())
	s.must("export queue", err)
	s.must("stop hub", s.sys.StopHub())
	stored, err := hub.ExportStored(s.config())
	s.must("export queue of a stopped hub", err)
	if len(e.Operations) != 2 || len(stored.Operations) != 2 || stored.Operations[0].ID != e.Operations[0].ID || e.Operations[0].Ref != first {
		t.Fatalf("exported %+v, and %+v from the disk", e, stored)
	}
	key, err := age.GenerateX25519Identity()
	s.must("make key", err)
	var sealed bytes.Buffer
	s.must("seal", hq.Seal(&sealed, e, key.Recipient().String()))
	if strings.Contains(sealed.String(), first) {
		t.Error("it is not sealed")
	}
	other, err := age.GenerateX25519Identity()
	s.must("make key", err)
	if _, err := hq.Unseal(bytes.NewReader(sealed.Bytes()), strings.NewReader(other.String())); err == nil {
		t.Error("another's key opens it")
	}
	if _, err := hq.Unseal(bytes.NewReader(sealed.Bytes()[:sealed.Len()-60]), strings.NewReader(key.String())); err == nil {
		t.Error("half of it is taken")
	}
	// Beside a headquarters that runs, as the command does it.
	beside, err := hq.NewServer(hq.Options{Database: "sqlite:" + filepath.Join(filepath.Dir(s.sys.ConfigFile), "hq.db"), Now: s.sys.Sandbox.Now})
	s.must("open headquarters' database", err)
	for _, want := range []hq.Imported{{New: 2}, {Known: 2}} {
		opened, err := hq.Unseal(bytes.NewReader(sealed.Bytes()), strings.NewReader(key.String()))
		s.must("open export", err)
		if n, err := beside.Import(t.Context(), opened); err != nil || n != want {
			t.Errorf("import: %+v (%v), want %+v", n, err, want)
		}
	}
	e.Store = "9999"
	if _, err := beside.Import(t.Context(), e); !errors.Is(err, doors.ErrNotFound) {
		t.Errorf("import for a store there is not: %v", err)
	}
	s.must("close it", beside.Close())
	s.Until("Stripe has captured both", func() bool {
		return len(s.Effects(first, "captured")) == 1 && len(s.Effects(second, "captured")) == 1
	})
	s.MendInternet()
	s.Boot()
	for pi, amount := range map[string]int64{first: 1400, second: 1600} {
		pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
		s.WantCapturedOnce(pi, amount)
	}
	s.wantProved()
}

// A hub is replaced while the line is down: what it promised is carried to the new one
// by hand, before its first start and again while it runs, and delivered from there.
// Then the first hub's disk is put back, and it delivers the same. Each sale is captured
// once.
func TestStory_CarriedToAReplacementAndDeliveredToo(t *testing.T) {
	s := open(t)
	pos := s.Till()
	sold := map[string]int64{pos.Authorise(1400): 1400, pos.Authorise(1600): 1600}
	s.CutInternet()
	for pi := range sold {
		pos.WantCapture(pi, http.StatusAccepted)
	}
	c := s.config()
	s.must("stop hub", s.sys.StopHub())
	e, err := hub.ExportStored(c)
	s.must("export queue", err)
	queue, first, second := filepath.Join(c.StateDir, "queue"), filepath.Join(c.StateDir, "first"), filepath.Join(c.StateDir, "second")
	s.must("put the disk away", os.Rename(queue, first))
	s.must("enrol the replacement", s.sys.Enrol(t.Context()))

	n, err := hub.ImportStored(t.Context(), c, e)
	if err != nil || n.New != 2 || n.Known != 0 || len(n.Refused) != 0 {
		t.Fatalf("import before the first start: %+v (%v)", n, err)
	}
	s.Boot()
	a, err := hub.DialAdmin(c.StateDir)
	s.must("reach hub", err)
	if n, err = a.Import(t.Context(), e); err != nil || n.New != 0 || n.Known != 2 {
		t.Errorf("import while it runs: %+v (%v)", n, err)
	}
	other := e
	other.Store = "9999"
	if _, err := a.Import(t.Context(), other); !errors.Is(err, doors.ErrInvalidField) {
		t.Errorf("import of another store: %v", err)
	}
	s.MendInternet()
	for pi := range sold {
		pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
	}
	s.wantProved()

	s.must("stop hub", s.sys.StopHub())
	s.must("put the new disk away", os.Rename(queue, second))
	s.must("put the first disk back", os.Rename(first, queue))
	s.Boot()
	for pi, amount := range sold {
		s.Until("headquarters has what the first hub delivers", func() bool {
			return pos.Operation(doors.Capture, pi).State != doors.Pending
		})
		s.WantCapturedOnce(pi, amount)
	}
}
