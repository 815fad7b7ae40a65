package main

import (
	"strings"
	"testing"
	"time"

	"storehub/diagnostics"
	"storehub/hq"
	"storehub/hub"
)

func TestVerifiedChecklistAsText(t *testing.T) {
	at := time.Date(2026, 11, 27, 5, 0, 0, 0, time.UTC)
	stated := hub.StatedChecklist{Store: "0412", Mode: "live", At: at, Key: "aa11"}
	for _, st := range []diagnostics.ItemState{diagnostics.ItemPass, diagnostics.ItemPass, diagnostics.ItemSignedOff, diagnostics.ItemNotApplicable, diagnostics.ItemFail} {
		stated.Items = append(stated.Items, diagnostics.Item{State: st})
	}
	word := &hq.Head{At: at.Add(time.Second), Key: "bb22"}
	const head = "Store 0412 (live), 2026-11-27T05:00:00Z: 2 pass, 1 signed off, 1 not applicable, 1 fail\n" +
		"  hub            signed it, key aa11\n"
	for _, c := range []struct {
		s     hub.SignedChecklist
		known bool
		want  string
	}{
		{hub.SignedChecklist{Headquarters: word}, true, "  headquarters   signed it on 2026-11-27T05:00:01Z, with the key that is known to be its own\n"},
		{hub.SignedChecklist{Headquarters: word}, false, "  headquarters   signed it on 2026-11-27T05:00:01Z, key bb22: compare it with headquarters', or give it: --hq-key\n"},
		{hub.SignedChecklist{Alone: "no answer\x1b[2J"}, false, "  headquarters   did not: no answer[2J\n"},
	} {
		if got := verifiedText(stated, c.s, c.known); got != head+c.want {
			t.Errorf("got\n%swant\n%s", got, strings.ReplaceAll(head+c.want, "\x1b", "ESC"))
		}
	}
}
