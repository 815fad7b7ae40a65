package doors

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func apiPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// catalogue reads the codes and statuses out of errors.go itself, so that none
// can be added without words about it.
func catalogue(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if c, isCall := n.(*ast.CallExpr); isCall {
			if f, isName := c.Fun.(*ast.Ident); isName && f.Name == "refusal" {
				code, err := strconv.Unquote(c.Args[1].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				codes[code] = c.Args[0].(*ast.SelectorExpr).Sel.Name
			}
		}
		return true
	})
	if len(codes) < 20 {
		t.Fatalf("only %d codes", len(codes))
	}
	return codes
}

func TestEveryCodeHasAHeadingAndEveryHeadingACode(t *testing.T) {
	codes := catalogue(t)
	page := apiPage(t)
	_, refusals, _ := strings.Cut(page, "\n## Refusals\n")
	for code := range codes {
		_, section, found := strings.Cut(refusals, "\n### "+code+"\n")
		if !found {
			t.Errorf("docs/api.md has no heading for %s", code)
			continue
		}
		section, _, _ = strings.Cut(section, "\n### ")
		if !strings.Contains(section, "Status ") || !strings.Contains(section, "*To do:*") {
			t.Errorf("%s: no status or nothing to do", code)
		}
	}
	for line := range strings.Lines(refusals) {
		if code, isHeading := strings.CutPrefix(strings.TrimSpace(line), "### "); isHeading && codes[code] == "" {
			t.Errorf("docs/api.md has a heading for %s, which is no code", code)
		}
	}
}

func TestEveryRouteIsOnThePage(t *testing.T) {
	page := apiPage(t)
	for _, r := range routes {
		_, row, found := strings.Cut(page, "\n| `"+r.method+" "+r.path+"` | ")
		if !found {
			t.Errorf("docs/api.md does not name %s %s", r.method, r.path)
			continue
		}
		who, _, _ := strings.Cut(row, " |")
		for scope, named := range map[Scope]bool{
			ScopePOS:     who == "all" || strings.HasPrefix(who, "pos"),
			ScopeManager: who == "all" || strings.Contains(who, "manager"),
			ScopeMonitor: who == "all",
		} {
			if named != slices.Contains(r.scopes, scope) {
				t.Errorf("docs/api.md gives %s %s to %q, the table to %v", r.method, r.path, who, r.scopes)
			}
		}
	}
	for kind := range rules {
		if !strings.Contains(page, "`"+string(kind)+"`") {
			t.Errorf("docs/api.md does not name the kind %s", kind)
		}
	}
	for field := range receiptData {
		if !strings.Contains(page, "`"+field+"`") {
			t.Errorf("docs/api.md does not name the receipt's %s", field)
		}
	}
	for field := range lineFields {
		if !strings.Contains(page, "`"+field+"`") {
			t.Errorf("docs/api.md does not name the line's %s", field)
		}
	}
}

// description is as much of OpenAPI as is compared.
type description struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		ID         string                     `json:"operationId"`
		Scopes     []Scope                    `json:"x-scopes"`
		Parameters []map[string]any           `json:"parameters"`
		Responses  map[string]json.RawMessage `json:"responses"`
		Body       struct {
			Content map[string]struct {
				Example json.RawMessage `json:"example"`
			} `json:"content"`
		} `json:"requestBody"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]struct {
			Enum       []string                   `json:"enum"`
			Required   []string                   `json:"required"`
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"schemas"`
	} `json:"components"`
}

func openAPI(t *testing.T) description {
	t.Helper()
	var d description
	if err := json.Unmarshal(OpenAPI, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOpenAPIDescribesTheRoutesOfV1AndNothingElse(t *testing.T) {
	d := openAPI(t)
	described, ids := 0, map[string]bool{}
	for _, methods := range d.Paths {
		for _, o := range methods {
			described++
			if ids[o.ID] {
				t.Errorf("operationId %s twice", o.ID)
			}
			ids[o.ID] = true
		}
	}
	served := 0
	for _, r := range routes {
		if surfaceOf(r.path) != own {
			continue
		}
		served++
		o, found := d.Paths[r.path][strings.ToLower(r.method)]
		if !found {
			t.Errorf("openapi.json does not have %s %s", r.method, r.path)
			continue
		}
		want := slices.Clone(r.scopes)
		if !reflect.DeepEqual(o.Scopes, want) {
			t.Errorf("%s %s: scopes %v, want %v", r.method, r.path, o.Scopes, want)
		}
		if strings.Contains(r.path, "{") != strings.Contains(string(encodeJSON(o.Parameters)), `"in":"path"`) {
			t.Errorf("%s %s: path parameters", r.method, r.path)
		}
		for _, status := range []string{"4XX", "5XX"} {
			if o.Responses[status] == nil {
				t.Errorf("%s %s: no %s", r.method, r.path, status)
			}
		}
	}
	if described != served || d.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %s describes %d routes, %d are served", d.OpenAPI, described, served)
	}
}

func TestOpenAPIsReferencesLeadSomewhere(t *testing.T) {
	var whole any
	if err := json.Unmarshal(OpenAPI, &whole); err != nil {
		t.Fatal(err)
	}
	err := walkJSON(OpenAPI, func(path []string, scalar any) error {
		to, isText := scalar.(string)
		if !isText || path[len(path)-1] != "$ref" {
			return nil
		}
		at := whole
		for step := range strings.SplitSeq(strings.TrimPrefix(to, "#/"), "/") {
			m, _ := at.(map[string]any)
			at = m[step]
		}
		if at == nil {
			t.Errorf("%s leads nowhere", to)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOpenAPIsExamplesAreTaken sends what the description shows.
func TestOpenAPIsExamplesAreTaken(t *testing.T) {
	for path, methods := range openAPI(t).Paths {
		for method, o := range methods {
			example := o.Body.Content["application/json"].Example
			if example == nil {
				continue
			}
			target := strings.NewReplacer("{id}", "tmr_1").Replace(path)
			w := call(Handler(newShop(), Options{}), strings.ToUpper(method), target, string(example), asManager, jsonBody, withKey)
			if w.Code >= 300 {
				t.Errorf("%s %s: the example was answered %d %s", method, path, w.Code, w.Body)
			}
		}
	}
}

func TestOpenAPIsListsAreThoseOfTheCode(t *testing.T) {
	schemas := openAPI(t).Components.Schemas
	var kinds []string
	for _, k := range Kinds {
		kinds = append(kinds, string(k))
	}
	for name, want := range map[string][]string{
		"Currency": Currencies(), "Kind": kinds,
		"State": {string(Pending), string(Accepted), string(Succeeded), string(Failed)},
	} {
		if got := schemas[name].Enum; !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	for name, v := range map[string]any{"Operation": Operation{}, "OperationRequest": put{}} {
		var fields []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			field, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields = append(fields, field)
		}
		for field := range schemas[name].Properties {
			if !slices.Contains(fields, field) {
				t.Errorf("%s has no %s", name, field)
			}
		}
		if len(fields) != len(schemas[name].Properties) {
			t.Errorf("%s has %v, described are %d", name, fields, len(schemas[name].Properties))
		}
	}
	if len(rules) != len(Kinds) {
		t.Errorf("%d rules for %d kinds", len(rules), len(Kinds))
	}
}
