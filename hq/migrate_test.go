package hq

import "testing"

// TestDecisionsBeforeTheAuditLogAreInIt: who decided about money before there was a log
// stands in it after the update; what settled by itself, or is open, does not.
func TestDecisionsBeforeTheAuditLogAreInIt(t *testing.T) {
	var o Options
	TestDatabase(t, &o)
	all := migrations
	defer func() { migrations = all }()
	migrations = all[:8]
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range [][]any{{"op_2", "dismissed", "B", 2000}, {"op_1", "confirmed", "A", 1000}, {"op_3", "moot", "", 3000}, {"op_4", "", "", 0}} {
		if _, err := s.db.w.Exec(`INSERT INTO findings (store, code, ref, note, at, decision, decided_by, decided_note, decided_at) VALUES ('0412', 'twin_refund', ?, '', 1, ?, ?, 'why', ?)`, f...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	migrations = all
	if s, err = NewServer(o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, err := s.Audit(t.Context(), AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range list {
		got = append(got, a.By+" "+a.Act+" "+a.Store+" "+a.Detail)
	}
	if len(got) != 2 || got[0] != "A finding.confirmed 0412 twin_refund op_1: why" || got[1] != "B finding.dismissed 0412 twin_refund op_2: why" {
		t.Errorf("the log says %q", got)
	}
}
