package diagnostics

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"storehub/netcheck"
	"storehub/readers"
)

// tokenDue is how long a test of the road of a token counts: a hub repeats it each day.
const tokenDue = 24 * time.Hour

func judgeToken(in ChecklistInput, it *Item) {
	t := in.Token
	switch {
	case t == nil:
		it.is(ItemAttention, "never tested", testAnew)
	case t.RefusesNobody:
		it.is(ItemFail, "a request without a credential was let through", "Report this; do not go live.")
	case len(t.Leaks) > 0:
		it.is(ItemFail, "what looks like a secret key of Stripe's is in "+strings.Join(t.Leaks, ", "), "Take the key out, and roll it in the Dashboard: it was served.")
	case in.Integration == "server-driven":
		it.is(ItemNotApplicable, "server-driven tills ask for no connection tokens; the door is guarded all the same")
		return
	case t.Error != "":
		it.is(ItemFail, "no connection token: "+t.Error, "Run hub diagnose.")
	case !t.Distinct:
		it.is(ItemFail, "two requests gave the same token", "Remove whatever caches between hub and headquarters.")
	case !t.LocationScoped:
		it.is(ItemAttention, "the token is not bound to a Location", "Give the store its Location: hq store configure.")
	default:
		it.is(ItemPass, "tokens are fresh, guarded and bound to the Location; tested "+stamp(t.At))
		if t.Served > 0 {
			it.Evidence = append(it.Evidence, fmt.Sprintf("no secret key is in any of %d things that the hub serves", t.Served))
		}
		it.NextDue = t.At.Add(tokenDue).UTC().Truncate(time.Second)
	}
	if in.Report != nil {
		for _, c := range in.Report.Causes {
			if slices.ContainsFunc(habitRules, func(r rule) bool { return r.code == c.Code }) {
				it.worse(ItemAttention, c.Title+": "+strings.Join(c.Evidence, "; "), c.Remedy...)
			}
		}
	}
	if len(in.KeyWarnings) > 0 {
		it.Evidence = append(it.Evidence, in.KeyWarnings...)
		it.Remedy = append(it.Remedy, "Run headquarters on a machine of its own, so that no Stripe key lies in the shop.")
		if it.State == ItemPass {
			it.State = ItemAttention
		}
	}
}

// many is "1 reader", "2 readers".
func many(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

// stamp is a time as evidence has it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// notNetwork are findings that say nothing of the network.
var notNetwork = func() []string {
	var out []string
	for _, r := range slices.Concat(hubRules, habitRules, moneyRules) {
		out = append(out, r.code)
	}
	return append(out, "stripe_failing", "clock_wrong")
}

func judgeNetwork(in ChecklistInput, it *Item) {
	if in.Report == nil || len(in.Report.Probes) == 0 {
		it.is(ItemAttention, "never checked", "Run hub diagnose.")
		return
	}
	it.State = ItemPass
	skip := notNetwork()
	for _, c := range in.Report.Causes {
		if slices.Contains(skip, c.Code) || c.Severity == Info {
			continue
		}
		it.Evidence = append(it.Evidence, c.Title+" ("+c.Code+")")
		it.Remedy = append(it.Remedy, c.Remedy...)
		switch {
		case c.Severity == Critical:
			it.State = ItemFail
		case it.State == ItemPass:
			it.State = ItemAttention
		}
	}
	pass, hosts := 0, 0
	for _, p := range in.Report.Probes {
		if p.Status == netcheck.Pass {
			pass++
			hosts += b2i(strings.HasPrefix(p.Name, "https/"))
		}
	}
	it.Evidence = append(it.Evidence, fmt.Sprintf("%d of %d probes passed at %s", pass, len(in.Report.Probes), stamp(in.Report.StartedAt)))
	if it.State == ItemPass && hosts == 0 {
		it.State = ItemUnknown // nothing is wrong only because nothing was reached
		it.Remedy = append(it.Remedy, "Run hub diagnose and read what could not be told.")
	}
}

func judgeRehearsal(in ChecklistInput, it *Item) {
	how := "Run hub rehearse, or try it with a test till, then sign off: " + attest(it.ID) + "."
	if it.ID == "outages" {
		how = "Hold a drill while somebody tries to sell: hub drill --by NAME. Or cut the internet line on a quiet day, follow the plan, then sign off: " + attest(it.ID) + "."
	}
	t, held := in.Rehearsals[it.ID]
	switch {
	case !held:
		it.worse(ItemAttention, "never rehearsed", how)
	case !t.Passed:
		it.worse(ItemFail, "the rehearsal of "+t.At.UTC().Format(time.DateOnly)+" failed: "+t.Note, how)
	case in.At.Sub(t.At) > rehearsalAge:
		it.worse(ItemAttention, "last rehearsed on "+t.At.UTC().Format(time.DateOnly)+", which is too long ago", how)
	default:
		it.worse(ItemPass, strings.TrimSuffix("rehearsed on "+t.At.UTC().Format(time.DateOnly)+": "+t.Note, ": "))
		it.NextDue = t.At.Add(rehearsalAge).UTC()
	}
}

// failedRehearsal says whether the last one of the item went wrong: what happens in the
// shop by itself does not cover that.
func (in ChecklistInput) failedRehearsal(item string) bool {
	t, held := in.Rehearsals[item]
	return held && !t.Passed
}

// lately says whether something happened within the time that a rehearsal counts.
func (in ChecklistInput) lately(at time.Time) bool {
	return !at.IsZero() && in.At.Sub(at) <= rehearsalAge
}

const (
	// uncapturedSoon is after what time an authorisation without a capture is stray;
	// uncapturedLate leaves half a day until Stripe lets it lapse.
	uncapturedSoon = time.Hour
	uncapturedLate = 36 * time.Hour
)

func judgeCapture(in ChecklistInput, it *Item) {
	if in.Report != nil {
		for _, c := range in.Report.Causes {
			if c.Code == "captures_near_deadline" || c.Code == "authorisation_lapsed" {
				it.is(ItemFail, c.Title, c.Remedy...)
			}
		}
	}
	if h := in.HQ; h != nil && h.Uncaptured > 0 {
		age := h.At.Sub(h.UncapturedSince)
		says := fmt.Sprintf("%d authorised and not captured, the oldest since %s", h.Uncaptured, stamp(h.UncapturedSince))
		const do = "Capture or cancel them: hq reconcile shows whose they are."
		switch {
		case age > uncapturedLate:
			it.worse(ItemFail, says, do)
		case age > uncapturedSoon:
			it.worse(ItemAttention, says, do)
		default:
			it.Evidence = append(it.Evidence, says)
		}
	}
	switch {
	case it.State == ItemFail:
	case in.failedRehearsal(it.ID), !in.lately(in.LastCapture):
		judgeRehearsal(in, it)
	default:
		it.worse(ItemPass, "a payment was captured at "+stamp(in.LastCapture))
	}
}

func judgeReceipts(in ChecklistInput, it *Item) {
	if h := in.HQ; h != nil && !h.CopiesKept {
		it.worse(ItemAttention, "headquarters keeps no copies of receipts: it has no key for personal fields", "Name personal.key_file at headquarters.")
	}
	switch {
	case in.failedRehearsal(it.ID), !in.lately(in.LastReceipt):
		judgeRehearsal(in, it)
	case !in.lately(in.LastCopy):
		it.worse(ItemAttention, "receipt fields were given out at "+stamp(in.LastReceipt)+", and no copy was kept", "Keep a copy of each: POST /v1/operations, kind receipt.")
	default:
		it.worse(ItemPass, "receipt fields were given out at "+stamp(in.LastReceipt)+", a copy was kept at "+stamp(in.LastCopy))
	}
}

func judgeUpdates(in ChecklistInput, it *Item) {
	least := in.MinSoftware
	if least == "" {
		least = minSoftware
	}
	told, simulated, old := 0, 0, 0
	for _, r := range in.Readers {
		switch {
		case r.Simulated:
			simulated++
		case r.Software != "":
			told++
			if readers.CompareVersions(r.Software, least) == -1 && readers.CompareVersions(r.Software, "0.0") >= 0 {
				old++
				it.Evidence = append(it.Evidence, fmt.Sprintf("%s runs %s, older than %s", readerName(r), r.Software, least))
			}
		}
	}
	switch {
	case old > 0:
		it.worse(ItemAttention, "readers update themselves at night when they have power", "Leave readers powered at night; restart them to look for an update.")
	case told == 0 && simulated > 0:
		it.worse(ItemAttention, many(simulated, "simulated reader")+" registered; those do not update themselves", "Register the store's readers.")
	case told == 0:
		it.worse(ItemAttention, "no reader has told its software version", "Register a reader and leave it on.")
	default:
		it.worse(ItemPass, fmt.Sprintf("%s told software %s or newer", many(told, "reader"), least))
	}
	switch {
	case in.WindowOpen == readers.Yes:
		it.worse(ItemAttention, "readers restart and update at "+in.Window+", while the shop is open", "Move the update window into the night: hq config apply.")
	case in.WindowOpen == readers.No:
		it.Evidence = append(it.Evidence, "readers restart and update at "+in.Window+", while the shop is closed")
	case in.Window != "" && told > 0:
		it.Evidence = append(it.Evidence, "readers restart and update at "+in.Window+"; whether the shop is open then is not known (opening_hours)")
	}
}

func judgeRegistration(in ChecklistInput, it *Item) {
	switch {
	case in.Readers == nil:
		it.is(ItemUnknown, "the list of readers was never had", "Run hub diagnose.")
		return
	case len(in.Readers) == 0:
		it.is(ItemAttention, "no reader is registered", registerOne)
		return
	}
	it.Evidence = append(it.Evidence, many(len(in.Readers), "reader")+" registered")
	switch {
	case in.failedRehearsal(it.ID), !in.lately(in.Registered):
		judgeRehearsal(in, it)
	default:
		it.worse(ItemPass, "one was registered from here at "+stamp(in.Registered))
	}
}

func judgeLocations(in ChecklistInput, it *Item) {
	if in.Report != nil {
		for _, c := range in.Report.Causes {
			if c.Code == "location_mismatch" {
				it.is(ItemFail, c.Title, c.Remedy...)
				return
			}
		}
	}
	switch {
	case in.Location == "":
		it.is(ItemUnknown, "headquarters has not named the store's Location", "Run hub diagnose.")
		return
	case in.HQ != nil && in.HQ.Place != "":
		it.is(ItemFail, in.HQ.Place, "Give the store the right Location: hq store move.")
		return
	case len(in.Strangers) > 0:
		it.is(ItemFail, in.Strangers[0], "Register the reader at "+in.Location+", or give the till one that is.")
		it.Evidence = append(it.Evidence, in.Strangers[1:]...)
	case len(in.Readers) == 0:
		it.is(ItemAttention, "no reader is at "+in.Location, registerOne)
	default:
		it.is(ItemPass, fmt.Sprintf("headquarters lists %s at %s", many(len(in.Readers), "reader"), in.Location))
	}
	if h := in.HQ; h != nil {
		if why, untold := h.Untold["place"]; untold {
			it.Evidence = append(it.Evidence, "whether Stripe knows the Location could not be told: "+why)
		} else {
			it.Evidence = append(it.Evidence, "Stripe knows the Location, in this mode and account")
		}
	}
}

func judgeDiscovery(in ChecklistInput, it *Item) {
	if in.Integration == "server-driven" {
		it.is(ItemNotApplicable, "server-driven tills do not discover readers")
		return
	}
	sign := "Look at it with staff, then sign off: " + attest(it.ID)
	labels := map[string]string{}
	for _, r := range in.Readers {
		switch other, taken := labels[r.Label]; {
		case r.Label == "":
			it.worse(ItemFail, r.Serial+" has no label to tell it by", "Give it one in the Dashboard, or register it anew.")
		case taken:
			it.worse(ItemFail, fmt.Sprintf("%s and %s have the same label, %q", other, r.Serial, r.Label), "Give each its own in the Dashboard.")
		default:
			labels[r.Label] = r.Serial
		}
	}
	switch {
	case len(in.Readers) == 0:
		it.worse(ItemAttention, "there is no reader to choose", registerOne)
	case it.State == ItemFail:
	case !in.lately(in.ListSeen):
		it.worse(ItemAttention, many(len(in.Readers), "reader")+" with label and serial number; no till has had the list, and no machine can see its screen", sign)
	default:
		it.worse(ItemPass, many(len(in.Readers), "reader")+" with label and serial number; a till had the list at "+stamp(in.ListSeen))
	}
}
