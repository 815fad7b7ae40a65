package hq_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

func TestALinkIntoTheConsoleWorksOnce(t *testing.T) {
	s := newShop(t)
	ctx := hq.By(t.Context(), "root")
	for _, o := range []hq.Operator{{}, {Who: " ", Role: hq.RoleViewer}, {Who: "Ada"}, {Who: "Ada", Role: "manager"}, {Who: strings.Repeat("a", 5000), Role: hq.RoleViewer}} {
		if _, _, err := s.server.InviteOperator(ctx, o); err == nil {
			t.Errorf("a link was made for %.20v", o)
		}
	}
	code, expires, err := s.server.InviteOperator(ctx, hq.Operator{Who: "Ada", Role: hq.RoleOperator})
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Until(expires); d < time.Minute || d > time.Hour {
		t.Errorf("the link expires in %s", d)
	}
	if strings.Contains(s.server.Everything(t), code) {
		t.Error("the code is kept as it is")
	}
	if _, err := s.server.AdmitOperator(ctx, code+"0"); !errors.Is(err, hq.ErrLink) {
		t.Errorf("another code: %v", err)
	}
	if o, err := s.server.AdmitOperator(ctx, code); err != nil || o != (hq.Operator{Who: "Ada", Role: hq.RoleOperator}) {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := s.server.AdmitOperator(ctx, code); !errors.Is(err, hq.ErrLink) {
		t.Errorf("the second time: %v", err)
	}
	late, _, err := s.server.InviteOperator(ctx, hq.Operator{Who: "Ada", Role: hq.RoleViewer})
	if err != nil {
		t.Fatal(err)
	}
	s.shift.Add(int64(time.Hour))
	if _, err := s.server.AdmitOperator(ctx, late); !errors.Is(err, hq.ErrLink) {
		t.Errorf("an hour later: %v", err)
	}
	acts, err := s.server.Audit(t.Context(), hq.AuditQuery{Last: 3})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, a := range acts {
		said = append(said, a.By+" "+a.Act+" "+a.Detail)
	}
	if want := []string{"root console.link for Ada, as operator", "Ada console.enter as operator", "root console.link for Ada, as viewer"}; !slices.Equal(said, want) {
		t.Errorf("the audit log says %q", said)
	}
}

func TestARevokedOperatorStaysOut(t *testing.T) {
	s := newShop(t)
	ctx := hq.By(t.Context(), "root")
	now := time.Now()
	c := hq.ConsoleSession{Operator: hq.Operator{Who: "Ada", Role: hq.RoleOperator}, Began: now, Seen: now, Ends: now.Add(time.Hour)}
	for _, hash := range []string{"one", "two"} {
		if err := s.server.BeginSession(ctx, hash, c); err != nil {
			t.Fatal(err)
		}
	}
	grace := c
	grace.Who = "Grace"
	if err := s.server.BeginSession(ctx, "three", grace); err != nil {
		t.Fatal(err)
	}
	code, _, err := s.server.InviteOperator(ctx, c.Operator)
	if err != nil {
		t.Fatal(err)
	}
	c.Ends = now.Add(2 * time.Hour)
	if err := s.server.KeepSession(ctx, "one", c); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := s.server.Session(ctx, "one"); !ok || err != nil || got.Who != "Ada" || !got.Ends.Equal(c.Ends.Truncate(time.Millisecond)) {
		t.Errorf("%+v, %t, %v", got, ok, err)
	}
	if n, err := s.server.RevokeOperator(ctx, "Ada"); n != 2 || err != nil {
		t.Errorf("%d sessions ended, %v", n, err)
	}
	if err := s.server.KeepSession(ctx, "one", c); err != nil { // a request that was under way
		t.Fatal(err)
	}
	if _, ok, err := s.server.Session(ctx, "one"); ok || err != nil {
		t.Errorf("a revoked session: %t, %v", ok, err)
	}
	if _, err := s.server.AdmitOperator(ctx, code); !errors.Is(err, hq.ErrLink) {
		t.Errorf("a revoked link: %v", err)
	}
	if _, err := s.server.RevokeOperator(ctx, "Ada"); err == nil {
		t.Error("nobody was revoked, and no error says so")
	}
	if list, err := s.server.Sessions(ctx); err != nil || len(list) != 1 || list[0].Who != "Grace" {
		t.Errorf("in are %+v, %v", list, err)
	}
	if err := s.server.EndSession(ctx, "three"); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.server.Session(ctx, "three"); ok || err != nil {
		t.Errorf("after signing out: %t, %v", ok, err)
	}
}

func TestViewsAreKeptByName(t *testing.T) {
	s := newShop(t)
	ctx := hq.By(t.Context(), "Ada")
	for _, v := range [][2]string{{"north", "q=n"}, {"blocked", "verdict=blocked"}, {"north", "q=north"}} {
		if err := s.server.SaveView(ctx, v[0], v[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.server.SaveView(ctx, "  ", "q=n"); err == nil {
		t.Error("a view has no name")
	}
	names := func() (list []string) {
		t.Helper()
		views, err := s.server.Views(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range views {
			list = append(list, v.Name+" "+v.Query+" "+v.By)
		}
		return list
	}
	if got, want := names(), []string{"blocked verdict=blocked Ada", "north q=north Ada"}; !slices.Equal(got, want) {
		t.Errorf("views %q, want %q", got, want)
	}
	if err := s.server.DeleteView(ctx, "north"); err != nil || len(names()) != 1 {
		t.Errorf("views %q, %v", names(), err)
	}
}

func TestActsAreFoundByTextAndRead(t *testing.T) {
	s := newShop(t)
	for i, detail := range []string{"fifty % off", "fifty_one", "fiftyXone", "Refund by ADA"} {
		if err := s.server.SaveAct(hq.By(t.Context(), "Ada"), "store.add", string(rune('a'+i)), detail); err != nil {
			t.Fatal(err)
		}
	}
	find := func(q hq.AuditQuery) (details []string) {
		t.Helper()
		list, err := s.server.Audit(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			details = append(details, a.Detail)
		}
		return details
	}
	for text, want := range map[string][]string{"FIFTY_": {"fifty_one"}, "% OFF": {"fifty % off"}, "refund by": {"Refund by ADA"}, "!": nil, "ada": {"fifty % off", "fifty_one", "fiftyXone", "Refund by ADA"}} {
		if got := find(hq.AuditQuery{Text: text}); !slices.Equal(got, want) {
			t.Errorf("%q finds %q, want %q", text, got, want)
		}
	}
	list, err := s.server.Audit(t.Context(), hq.AuditQuery{Text: "fifty"})
	if err != nil {
		t.Fatal(err)
	}
	if got := find(hq.AuditQuery{Text: "fifty", Before: list[2].ID, Last: 1}); !slices.Equal(got, []string{"fifty_one"}) {
		t.Errorf("the page before: %q", got)
	}
}

func TestOperationsAreReadNewestFirstWithoutWhatIsPersonal(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	capture := op(doors.Capture, "op_1", pi, 1000)
	capture.Data = []byte(`{"order":"4711"}`)
	s.submit(capture, op(doors.Heartbeat, "beat", "", 0))
	s.want("op_1", doors.Succeeded, "")
	s.submit(op(doors.Refund, "op_2", pi, 400))
	s.want("op_2", doors.Succeeded, "")
	list, err := s.server.Operations(t.Context(), "0412", 0, 10)
	if err != nil || len(list) != 2 || list[0].ID != "op_2" || list[1].ID != "op_1" || list[1].Data != nil || list[1].Result != nil || list[1].State != doors.Succeeded {
		t.Fatalf("%+v, %v", list, err)
	}
	if older, err := s.server.Operations(t.Context(), "0412", list[0].Number, 10); err != nil || len(older) != 1 || older[0].ID != "op_1" {
		t.Errorf("older: %+v, %v", older, err)
	}
	if other, err := s.server.Operations(t.Context(), "0413", 0, 10); err != nil || len(other) != 0 {
		t.Errorf("another store's: %+v, %v", other, err)
	}
}
