package hq_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/yamlfile"
)

const placeUS = "display_name: High Street\naddress:\n  line1: 5 High Street\n  city: San Francisco\n  state: CA\n  postal_code: \"94110\"\n  country: US\n"

func TestPlaceWantsWhatItsCountryWants(t *testing.T) {
	without := func(text, key string) string {
		var kept strings.Builder
		for line := range strings.Lines(text) {
			if !strings.Contains(line, key+":") {
				kept.WriteString(line)
			}
		}
		return kept.String()
	}
	in := func(country string) string { return strings.Replace(placeUS, "country: US", "country: "+country, 1) }
	for name, c := range map[string]struct{ text, key string }{
		"whole":                   {placeUS, ""},
		"JSON":                    {`{"display_name":"x","address":{"line1":"1","country":"GI"}}`, ""},
		"US: state":               {without(placeUS, "state"), "address.state"},
		"US: city":                {without(placeUS, "city"), "address.city"},
		"JP: postal code":         {without(in("JP"), "postal_code"), "address.postal_code"},
		"DE: no state":            {without(in("DE"), "state"), ""},
		"DE: city":                {without(in("DE"), "city"), "address.city"},
		"IE: neither":             {without(without(in("IE"), "state"), "city"), ""},
		"IE: postal code":         {without(in("IE"), "postal_code"), "address.postal_code"},
		"GI: line1":               {without(in("GI"), "line1"), "address.line1"},
		"another: Stripe's word":  {without(without(in("BR"), "state"), "postal_code"), ""},
		"no name":                 {without(placeUS, "display_name"), "display_name"},
		"no country":              {without(placeUS, "country"), "address.country"},
		"country is not a code":   {in("Germany"), "address.country"},
		"long name":               {strings.Replace(placeUS, "High Street", strings.Repeat("x", 1001), 1), "display_name"},
		"key that is not known":   {placeUS + "zip: 1\n", "zip"},
		"address that is no list": {"display_name: x\naddress: here\n", "address"},
	} {
		_, err := hq.ParsePlace(strings.NewReader(c.text), "place.yaml")
		var e *yamlfile.Error
		switch {
		case c.key == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.key != "" && (!errors.As(err, &e) || e.Key != c.key):
			t.Errorf("%s: %v, want something about %s", name, err, c.key)
		}
	}
}

// A store's Location is made once, whatever is lost on the way, and not at all for a
// store that exists or cannot be.
func TestLocationIsMadeOnce(t *testing.T) {
	s := newShop(t)
	p, err := hq.ParsePlace(strings.NewReader(placeUS), "place.yaml")
	if err != nil {
		t.Fatal(err)
	}
	made := func() int {
		t.Helper()
		list, _ := s.stripe("GET", "/v1/terminal/locations?limit=100", "")["data"].([]any)
		n := 0
		for _, l := range list {
			if l.(map[string]any)["display_name"] == "High Street" {
				n++
			}
		}
		return n
	}
	for name, st := range map[string]hq.Store{
		"exists":    {ID: "0412", Mode: doors.Test},
		"id":        {ID: "../x", Mode: doors.Test},
		"time zone": {ID: "0413", Mode: doors.Test, TimeZone: "Mars/Olympus"},
		"mode":      {ID: "0413", Mode: doors.Live},
	} {
		if id, err := s.server.CreateLocation(t.Context(), st, p); err == nil || made() != 0 {
			t.Errorf("%s: %s was made, %v", name, id, err)
		}
	}
	if _, err := s.server.CreateLocation(t.Context(), hq.Store{ID: "0413", Mode: doors.Test}, hq.Place{DisplayName: "x", Line1: "1", Country: "US"}); err == nil || made() != 0 {
		t.Errorf("a place without its parts was made: %v", err)
	}
	var ids []string
	for range 2 {
		id, err := s.server.CreateLocation(t.Context(), hq.Store{ID: "0413", Mode: doors.Test}, p)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if ids[0] != ids[1] || made() != 1 {
		t.Fatalf("%v; %d were made", ids, made())
	}
	l := s.stripe("GET", "/v1/terminal/locations/"+url.PathEscape(ids[0]), "")
	if a, _ := l["address"].(map[string]any); a["state"] != "CA" || l["metadata"].(map[string]any)["storehub_store"] != "0413" {
		t.Errorf("it is %v", l)
	}
	if _, _, err := s.server.AddStore(t.Context(), hq.Store{ID: "0413", Location: ids[0], Mode: doors.Test}); err != nil {
		t.Fatal(err)
	}
	if id, err := s.server.CreateLocation(t.Context(), hq.Store{ID: "0413", Mode: doors.Test}, p); err == nil {
		t.Errorf("%s was made for a store that exists", id)
	}
}

// Stripe's no is said with its status; silence is said as not knowing.
func TestLocationThatStripeRefuses(t *testing.T) {
	s := newShop(t)
	_, err := s.server.CreateLocation(t.Context(), hq.Store{ID: "0413", Mode: doors.Test}, hq.Place{DisplayName: "x", Line1: "1", Country: "ZZ"})
	var e *hq.StripeError
	if !errors.As(err, &e) || e.Status != http.StatusBadRequest || !strings.Contains(err.Error(), "Stripe answered 400") {
		t.Errorf("got %v", err)
	}
}
