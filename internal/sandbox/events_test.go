package sandbox

import (
	"strconv"
	"testing"
	"time"
)

func TestEventsAreListedFromACursorOn(t *testing.T) {
	sh := newShop(t)
	sh.intent("2500", "")
	first := sh.ok("GET", "/v1/events", "limit=1").str("data.0.id")
	var after []string
	for range 5 {
		sh.intent("2500", "")
		after = append(after, sh.ok("GET", "/v1/events", "limit=1").str("data.0.id"))
	}
	// A reader of events asks for what came after the last one it knows, page by
	// page: each page is the one next to the cursor, newest first within.
	var seen []string
	for cursor := first; ; {
		r := sh.ok("GET", "/v1/events", "limit=2&ending_before="+cursor)
		data := r.at("data").([]any)
		for i := len(data) - 1; i >= 0; i-- {
			cursor = data[i].(map[string]any)["id"].(string)
			seen = append(seen, cursor)
		}
		if r.at("has_more") != true {
			break
		}
	}
	for i := range after {
		if i >= len(seen) || seen[i] != after[i] {
			t.Fatalf("saw %v, want %v", seen, after)
		}
	}
}

func TestEventsAreFilteredByTypeAndTime(t *testing.T) {
	sh := newShop(t)
	pi := sh.authorised("2500")
	sh.Advance(time.Hour)
	since := strconv.FormatInt(sh.Now().Unix(), 10)
	sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "")
	for form, want := range map[string]int{
		"": 6, "type=charge.captured": 1, "types[]=charge.captured&types[]=charge.succeeded": 2, "types[]=payment_intent.*": 3,
		"types[]=none": 0, "created[gte]=" + since: 2, "created[lt]=" + since: 4, "created[gt]=" + since + "&created[lte]=1": 0,
		"type=charge.*&created[lt]=" + since: 1,
	} {
		if r := sh.ok("GET", "/v1/events", form); len(r.at("data").([]any)) != want {
			t.Errorf("%q: %d events, want %d", form, len(r.at("data").([]any)), want)
		}
	}
	sh.no(400, "parameter_unknown", "GET", "/v1/events", "created[after]=1")
	sh.no(400, "resource_missing", "GET", "/v1/events", "ending_before=evt_none")
}

func TestObjectsAreExpandedWhereverTheyAreNamed(t *testing.T) {
	sh := newShop(t)
	pi := sh.captured("2500")
	re := sh.ok("POST", "/v1/refunds", "payment_intent="+pi).str("id")
	for _, c := range []struct{ path, expand, at, want string }{
		{"/v1/payment_intents/" + pi, "expand[]=latest_charge", "latest_charge.object", "charge"},
		{"/v1/payment_intents", "expand[]=data.latest_charge", "data.0.latest_charge.object", "charge"},
		{"/v1/refunds/" + re, "expand[]=payment_intent&expand[]=charge", "charge.object", "charge"},
		{"/v1/refunds/" + re, "expand[]=payment_intent.latest_charge", "payment_intent.latest_charge.object", "charge"},
		{"/v1/payment_intents/" + pi, "expand[]=payment_method", "payment_method.object", "payment_method"},
		{"/v1/payment_intents/" + pi, "expand[]=customer", "object", "payment_intent"},
		{"/v1/terminal/readers/" + sh.reader, "expand[]=location", "location.object", "terminal.location"},
		{"/v1/terminal/readers/" + sh.reader, "expand[0]=action.process_payment_intent.payment_intent", "action.process_payment_intent.payment_intent.id", pi},
	} {
		if r := sh.ok("GET", c.path, c.expand); r.str(c.at) != c.want {
			t.Errorf("%s %s: %s is %q", c.path, c.expand, c.at, r.str(c.at))
		}
	}
	for _, bad := range []string{"nothing", "status", "latest_charge.nothing", "a.b.c.d.e"} {
		sh.no(400, "", "GET", "/v1/payment_intents/"+pi, "expand[]="+bad)
	}
}

func TestAnExpansionThatLeadsNowhereIsRefusedBeforeTheEffect(t *testing.T) {
	sh := newShop(t)
	pi := sh.authorised("2500")
	sh.no(400, "", "POST", "/v1/payment_intents/"+pi+"/capture", "expand[]=last_charge", byKey)
	if got := sh.effects(pi); got != "authorised 2500" {
		t.Errorf("books: %s", got)
	}
	sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "expand[]=latest_charge", byKey)
}

func TestEventsAreToldForThirtyDays(t *testing.T) {
	sh := newShop(t)
	sh.intent("2500", "")
	old := sh.ok("GET", "/v1/events", "").str("data.0.id")
	sh.Advance(eventLife - time.Hour)
	sh.intent("2500", "")
	if n := len(sh.ok("GET", "/v1/events", "").at("data").([]any)); n != 2 {
		t.Errorf("%d events within 30 days", n)
	}
	sh.Advance(2 * time.Hour)
	if n := len(sh.ok("GET", "/v1/events", "").at("data").([]any)); n != 1 {
		t.Errorf("%d events after 30 days", n)
	}
	sh.no(400, "resource_missing", "GET", "/v1/events", "ending_before="+old)
	sh.no(404, "resource_missing", "GET", "/v1/events/"+old, "")
}

func TestADisputeIsAnEventAndAMarkOnTheCharge(t *testing.T) {
	sh := newShop(t)
	held, pi := sh.authorised("3000"), sh.captured("2500")
	if sh.Dispute("pi_none") || sh.Dispute(held) {
		t.Error("what was never captured was disputed")
	}
	if status, text := sh.order("POST", "disputes", `{"payment_intent":"`+pi+`"}`); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	r := sh.ok("GET", "/v1/events", "type=charge.dispute.*")
	if r.str("data.0.data.object.payment_intent") != pi || r.num("data.0.data.object.amount") != 2500 {
		t.Errorf("event: %s", r.raw)
	}
	if r := sh.ok("GET", "/v1/payment_intents/"+pi, "expand[]=latest_charge"); r.at("latest_charge.disputed") != true {
		t.Errorf("charge: %s", r.raw)
	}
	if got := sh.effects(pi); got != "authorised 2500, captured 2500, disputed 2500" {
		t.Errorf("books: %s", got)
	}
}

func TestAForwardedPaymentTellsWhenItWasStored(t *testing.T) {
	sh := newShop(t)
	stored := sh.Now().Add(-3 * time.Hour).Truncate(time.Second)
	sh.SetReader(sh.reader, ReaderState{StoredAt: stored})
	pi := sh.authorised("2500")
	const at = "latest_charge.payment_method_details.card_present.offline."
	r := sh.ok("GET", "/v1/payment_intents/"+pi, "expand[]=latest_charge")
	if r.num(at+"stored_at") != stored.Unix() || r.str(at+"type") != "deferred" {
		t.Errorf("%s", r.raw)
	}
}

func TestABalanceIsWhatWasTakenAndNotGivenBack(t *testing.T) {
	sh := newShop(t)
	sh.authorised("5000")
	pi := sh.authorised("2500")
	sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "amount_to_capture=2000")
	sh.ok("POST", "/v1/refunds", "payment_intent="+pi+"&amount=500")
	if r := sh.ok("GET", "/v1/balance", ""); r.num("pending.0.amount") != 1500 || r.str("pending.0.currency") != "usd" {
		t.Errorf("%s", r.raw)
	}
}
