package diagnostics

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a whole text with its file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (run with -update and look at the diff):\n%s", path, got)
	}
}

// schemas are the published ones, compiled once.
var schemas = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	texts := map[string][]byte{"diagnosis.schema.json": Schema, "history.schema.json": HistorySchema}
	for name, text := range texts {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		if err := c.AddResource("https://storehub.example/"+name, doc); err != nil {
			return nil, err
		}
	}
	out := map[string]*jsonschema.Schema{}
	for name := range texts {
		s, err := c.Compile("https://storehub.example/" + name)
		if err != nil {
			return nil, err
		}
		out[name] = s
	}
	return out, nil
})

// valid holds a report or a history to its published schema.
func valid(t rapid.TB, v any) {
	t.Helper()
	compiled, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	name := "diagnosis.schema.json"
	if _, ok := v.(History); ok {
		name = "history.schema.json"
	}
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte(":null")) {
		t.Errorf("a null in the report: %s", raw)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled[name].Validate(doc); err != nil {
		t.Errorf("the document breaks its schema: %v", err)
	}
}

// A morning is the facts of one run in a real network with one fault in it.
func mornings(t *testing.T) []string {
	files, err := filepath.Glob("testdata/*.facts.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no mornings: %v", err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".facts.json"))
	}
	return names
}

func load(t *testing.T, name string) Input {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".facts.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := LoadFacts(f)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestMornings(t *testing.T) {
	for _, name := range mornings(t) {
		t.Run(name, func(t *testing.T) {
			r := Diagnose(load(t, name))
			valid(t, r)
			switch {
			case strings.HasPrefix(name, "healthy"):
				if r.Verdict != Ready || len(r.Causes) > 0 {
					t.Errorf("a false alarm: %v", causes(r))
				}
			case len(r.Causes) == 0 || r.Causes[0].Code != name:
				t.Errorf("principal cause of %v, want %s", causes(r), name)
			}
			var text bytes.Buffer
			if err := WriteText(&text, r, TextOptions{Width: 100}); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", text.Bytes())
			r.Probes = r.Probes[:0] // they are the facts, word for word
			var b bytes.Buffer
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			if err := e.Encode(r); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", b.Bytes())
		})
	}
}

func TestFactsComeBackAsTheyWere(t *testing.T) {
	for _, name := range mornings(t) {
		in := load(t, name)
		var b bytes.Buffer
		if err := SaveFacts(&b, in); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("testdata", name+".facts.json"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s changed on its way through LoadFacts and SaveFacts", name)
		}
	}
}
