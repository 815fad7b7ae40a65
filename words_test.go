package storehub

import (
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"storehub/doors/words"
)

var update = flag.Bool("update", false, "write doors/words/*.json anew, with an empty text where a translation is missing")

// TestEverySentenceIsTranslated finds each text that the shop's staff is shown where
// it stands in the code, and holds the translators' files to exactly those sentences.
func TestEverySentenceIsTranslated(t *testing.T) {
	said := map[string]bool{}
	for _, dir := range []string{"doors", "hub", "hq", "diagnostics"} {
		for _, text := range staffTexts(t, dir) {
			for _, s := range words.Sentences(text) {
				said[s] = true
			}
		}
	}
	if len(said) < 100 {
		t.Fatalf("only %d sentences were found: the search is broken", len(said))
	}
	for _, l := range words.Languages()[1:] {
		name := filepath.Join("doors", "words", l+".json")
		var have map[string]string
		if err := json.Unmarshal([]byte(read(t, name)), &have); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if *update {
			maps.DeleteFunc(have, func(s, _ string) bool { return !said[s] })
			for s := range said {
				if _, ok := have[s]; !ok {
					have[s] = ""
				}
			}
			writeSentences(t, name, have)
		}
		for _, s := range slices.Sorted(maps.Keys(said)) {
			if have[s] == "" {
				t.Errorf("%s lacks %q", name, s)
			}
		}
		for _, s := range slices.Sorted(maps.Keys(have)) {
			if !said[s] {
				t.Errorf("%s: nobody says %q", name, s)
			}
		}
	}
}

func writeSentences(t *testing.T, name string, sentences map[string]string) {
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e := json.NewEncoder(f)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(sentences); err != nil {
		t.Fatal(err)
	}
}

// staffTexts are the texts in a package that end up before the shop's staff: what
// refusals and causes say to an operator, Stripe's codes in words, and whatever speaks
// of card payments as a whole.
func staffTexts(t *testing.T, dir string) (texts []string) {
	names, err := filepath.Glob(dir + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	consts := map[string]string{}
	var operands []ast.Expr
	set := token.NewFileSet()
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if i < len(n.Values) {
						if s, ok := literal(n.Values[i]); ok {
							consts[name.Name] = s
						}
						if m, ok := n.Values[i].(*ast.CompositeLit); ok && name.Name == "sayings" {
							for _, e := range m.Elts {
								operands = append(operands, e.(*ast.KeyValueExpr).Value.(*ast.CompositeLit).Elts[1])
							}
						}
					}
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Operator" && len(n.Args) == 1 {
					operands = append(operands, n.Args[0])
				}
				if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "refusal" && len(n.Args) == 4 {
					operands = append(operands, n.Args[3])
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "operator" {
					operands = append(operands, n.Value)
				}
			case *ast.BasicLit:
				s, _ := literal(n)
				if s = strings.TrimSpace(s); strings.HasSuffix(s, ".") && (strings.HasPrefix(s, "Card payments ") || strings.HasPrefix(s, "The hub has just ")) {
					texts = append(texts, s)
				}
			}
			return true
		})
	}
	for _, e := range operands {
		s, ok := literal(e)
		if name, is := e.(*ast.Ident); is && !ok {
			s, ok = consts[name.Name]
		}
		if ok && s != "" {
			texts = append(texts, s)
		}
	}
	return texts
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}
