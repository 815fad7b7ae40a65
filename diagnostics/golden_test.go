package diagnostics

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
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

var compiled *jsonschema.Schema

// valid holds a report to its published schema.
func valid(t *testing.T, r Report) {
	t.Helper()
	if compiled == nil {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		if err := c.AddResource("diagnosis.schema.json", doc); err != nil {
			t.Fatal(err)
		}
		if compiled, err = c.Compile("diagnosis.schema.json"); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte(":null")) {
		t.Errorf("a null in the report: %s", raw)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(v); err != nil {
		t.Errorf("the report breaks its schema: %v", err)
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
