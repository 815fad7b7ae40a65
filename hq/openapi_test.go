package hq

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"storehub/doors"
)

// wireDescription is as much of openapi.json as is compared with the code.
type wireDescription struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		Security *[]any          `json:"security"`
		Promised bool            `json:"x-promised"`
		Body     json.RawMessage `json:"requestBody"`
		Params   []struct {
			Name   string `json:"name"`
			Schema struct {
				Enum []string `json:"enum"`
			} `json:"schema"`
		} `json:"parameters"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]struct {
			Required   []string                   `json:"required"`
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"schemas"`
	} `json:"components"`
}

func TestOpenAPIDescribesTheWireAndNothingElse(t *testing.T) {
	var d wireDescription
	if err := json.Unmarshal(OpenAPI, &d); err != nil {
		t.Fatal(err)
	}
	described := 0
	for _, methods := range d.Paths {
		described += len(methods)
	}
	if described != len(storeRoutes) || d.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %s describes %d routes, there are %d", d.OpenAPI, described, len(storeRoutes))
	}
	for _, r := range storeRoutes {
		o, ok := d.Paths[r.path][strings.ToLower(r.method)]
		switch {
		case !ok:
			t.Errorf("%s %s is not described", r.method, r.path)
		case r.open != (o.Security != nil && len(*o.Security) == 0):
			t.Errorf("%s %s: whether it needs a credential is described wrongly", r.method, r.path)
		case r.promised != o.Promised:
			t.Errorf("%s %s: whether a hub may ask it that may ask nothing else is described wrongly", r.method, r.path)
		case (o.Body != nil) != (r.method != "GET"):
			t.Errorf("%s %s: the body is described wrongly", r.method, r.path)
		}
	}
	for _, p := range d.Paths["/store/v1/stripe/{call}"]["post"].Params {
		var calls []string
		for c := range maps.Keys(callRules) {
			calls = append(calls, string(c))
		}
		if slices.Sort(calls); p.Name == "call" && !slices.Equal(calls, slices.Sorted(slices.Values(p.Schema.Enum))) {
			t.Errorf("the calls are %v, described are %v", calls, p.Schema.Enum)
		}
	}
}

// Each schema has the fields of its Go type; those that are always sent are required.
func TestOpenAPIsSchemasAreTheTypesOfTheWire(t *testing.T) {
	var d wireDescription
	if err := json.Unmarshal(OpenAPI, &d); err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{EnrolRequest{}, Enrolment{}, Store{}, doors.Till{}, TillRequest{}, StripeRequest{}, Submission{}, Submitted{}, Receipt{},
		Feed{}, Item{}, Head{}, Link{}, ChainPage{}, ReaderList{}, TillBook{}, TillRecord{}, Resolutions{}, Resolution{}, Evidence{}, Report{}, ReportCause{}, ReportQueue{}, ReportItem{}, ReportPolicy{}, Reported{}, ShopPolicy{}, CertificateRequest{}, Certificate{}, doors.Error{}} {
		typ := reflect.TypeOf(v)
		var fields, always []string
		for _, f := range reflect.VisibleFields(typ) {
			name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" || !f.IsExported() {
				continue
			}
			fields = append(fields, name)
			if !strings.Contains(rest, "omit") {
				always = append(always, name)
			}
		}
		schema := d.Components.Schemas[typ.Name()]
		if got := slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(got, slices.Sorted(slices.Values(fields))) {
			t.Errorf("%s has %v, described are %v", typ.Name(), fields, got)
		}
		if !slices.Equal(slices.Sorted(slices.Values(schema.Required)), slices.Sorted(slices.Values(always))) {
			t.Errorf("%s always has %v, described are %v", typ.Name(), always, schema.Required)
		}
	}
}

func TestOpenAPIsReferencesLeadSomewhere(t *testing.T) {
	var whole any
	if err := json.Unmarshal(OpenAPI, &whole); err != nil {
		t.Fatal(err)
	}
	seen := 0
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for k, e := range v {
				if to, ok := e.(string); ok && k == "$ref" {
					seen++
					at := whole
					for step := range strings.SplitSeq(strings.TrimPrefix(to, "#/"), "/") {
						m, _ := at.(map[string]any)
						at = m[step]
					}
					if at == nil {
						t.Errorf("%s leads nowhere", to)
					}
				}
				walk(e)
			}
		}
	}
	walk(whole)
	if seen < 20 {
		t.Errorf("%d references were seen", seen)
	}
}
