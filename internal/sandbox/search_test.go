package sandbox

import (
	"net/url"
	"testing"
	"time"
)

func find(sh *shop, query, more string) *response {
	sh.t.Helper()
	return sh.ok("GET", "/v1/payment_intents/search", "query="+url.QueryEscape(query)+more)
}

func TestSearchFindsIntentsByWhatTheySay(t *testing.T) {
	sh := newShop(t)
	a := sh.intent("2500", "&metadata[order]=17&metadata[it's]=so")
	b := sh.captured("3000")
	for query, want := range map[string]string{
		`metadata['order']:'17'`:                                a,
		`metadata["order"]:"17"`:                                a,
		`metadata['it\'s']:'so'`:                                a,
		`metadata['order']~'1'`:                                 a,
		`metadata['order']:null`:                                b,
		`-metadata['order']:null`:                               a,
		`status:'succeeded'`:                                    b,
		`-status:"succeeded"`:                                   a,
		`amount>2500`:                                           b,
		`amount<=2500`:                                          a,
		`amount:2500 AND currency:'usd'`:                        a,
		`currency:'usd' status:'succeeded'`:                     b,
		`amount:3000 OR metadata['order']:'none'`:               b,
		`created>0 and metadata['order']:'17'`:                  a,
		`metadata['order']:'18'`:                                "",
		`status:'canceled' OR status:'processing'`:              "",
		`status:'succeeded' AND -status:'succeeded'`:            "",
		`customer:null AND amount>=3000`:                        b,
		`customer:'cus_1'`:                                      "",
		`amount:1 OR amount:2500`:                               a,
		"metadata['order']:'17'  AND  amount<3000 AND amount>1": a,
	} {
		r := find(sh, query, "")
		if data := r.at("data").([]any); r.str("data.0.id") != want || len(data) > 1 {
			t.Errorf("%s: %s", query, r.raw)
		}
	}
}

func TestSearchRefusesWhatItCannotRead(t *testing.T) {
	for _, query := range []string{
		"", " ", "order:'17'", "metadata:'17'", "metadata['order':'17'", "metadata['order']", "metadata['order']:'17", "status=1",
		"amount:'many'", "amount:", "status>'a'", "status:'a' AND status:'b' OR status:'c'", "status:'a' AND", "'a'", "-",
		"amount:99999999999999999999",
	} {
		if q, err := parseQuery(query); err == nil {
			t.Errorf("%q was read as %+v", query, q)
		}
	}
	sh := newShop(t)
	sh.no(400, "", "GET", "/v1/payment_intents/search", "query=order:17")
	sh.no(400, "parameter_missing", "GET", "/v1/payment_intents/search", "")
	sh.no(400, "", "GET", "/v1/payment_intents/search", "query=amount:1&page=x")
}

func TestTheIndexLagsBehindTheMetadata(t *testing.T) {
	sh := newShop(t)
	sh.SetSearchLag(time.Minute)
	const query = `metadata['order']:'17'`
	pi := sh.intent("2500", "&metadata[order]=17")
	if r := find(sh, query, ""); len(r.at("data").([]any)) != 0 {
		t.Error("found at once")
	}
	sh.Advance(time.Minute)
	if r := find(sh, query, ""); r.str("data.0.id") != pi {
		t.Errorf("not found a minute later: %s", r.raw)
	}
	sh.ok("POST", "/v1/payment_intents/"+pi, "metadata[order]=18")
	if r := find(sh, `metadata['order']:'18'`, ""); len(r.at("data").([]any)) != 0 {
		t.Error("a change was found at once")
	}
}

func TestSearchResultsComeInPages(t *testing.T) {
	sh := newShop(t)
	for range 5 {
		sh.intent("2500", "")
	}
	seen, page := map[string]bool{}, ""
	for more := true; more; {
		form := "&limit=2"
		if page != "" {
			form += "&page=" + page
		}
		r := find(sh, "amount:2500", form)
		for _, v := range r.at("data").([]any) {
			seen[v.(map[string]any)["id"].(string)] = true
		}
		more, page = r.at("has_more").(bool), r.str("next_page")
	}
	if len(seen) != 5 {
		t.Errorf("saw %d of 5", len(seen))
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, seed := range []string{`metadata['order']:'17'`, `status:"a" AND amount>5`, `-x`, `metadata['a\'b']~'c' OR customer:null`, "", "amount:1 AND"} {
		f.Add(seed)
	}
	in := &intentRecord{intent: intent{Metadata: map[string]string{"order": "17"}}}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := parseQuery(text)
		if err != nil {
			return
		}
		if len(q.clauses) == 0 || len(q.clauses) > 10 {
			t.Errorf("%d clauses", len(q.clauses))
		}
		q.match(in)
		for i := range q.clauses {
			c := q.clauses[i]
			if c.match(in) == (clause{c.field, c.key, c.op, c.value, c.null, !c.not}).match(in) {
				t.Errorf("%+v and its negation agree", c)
			}
		}
	})
}
