package storehub

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rulesOfMoney is how many rules each chapter has.
var rulesOfMoney = map[string]int{"1": 5, "2": 7, "3": 6, "4": 6, "5": 4}

// testsThereAre are the names of all tests of this module.
func testsThereAre(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names[f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestEveryRuleOfMoneyHasItsTests holds docs/money-tests.md to the tests that there
// are: every rule stands there with its tests, or says that it is not built.
func TestEveryRuleOfMoneyHasItsTests(t *testing.T) {
	there := testsThereAre(t)
	page := strings.ReplaceAll(read(t, "docs/money-tests.md"), "\r\n", "\n")
	heading, listed := regexp.MustCompile(`^(\d)\.(\d) \S`), regexp.MustCompile("(?m)^- `(Test\\w+)`$")
	said, under := map[string]bool{}, map[string]string{}
	for _, section := range strings.Split(page, "\n## ")[1:] {
		m := heading.FindStringSubmatch(section)
		if m == nil {
			t.Errorf("a section that is no rule: %.40q", section)
			continue
		}
		rule := m[1] + "." + m[2]
		if said[rule] {
			t.Errorf("%s stands there twice", rule)
		}
		said[rule] = true
		tests := listed.FindAllStringSubmatch(section, -1)
		if len(tests) == 0 && !strings.Contains(section, "*Open:* not built") {
			t.Errorf("%s has no test and does not say that it is not built", rule)
		}
		for _, test := range tests {
			name := test[1]
			if !there[name] {
				t.Errorf("%s: there is no %s", rule, name)
			}
			if number := ruleOf(name); number != "" && number != rule {
				t.Errorf("%s stands under %s", name, rule)
			}
			under[name] = rule
		}
	}
	rules := 0
	for chapter, n := range rulesOfMoney {
		for i := range n {
			if rule := chapter + "." + string(rune('1'+i)); !said[rule] {
				t.Errorf("%s is missing", rule)
			}
			rules++
		}
	}
	if len(said) != rules {
		t.Errorf("%d rules stand there, there are %d", len(said), rules)
	}
	for name := range there {
		if ruleOf(name) != "" && under[name] == "" {
			t.Errorf("%s stands nowhere in docs/money-tests.md", name)
		}
	}
}

var moneyTest = regexp.MustCompile(`^TestMoney_(\d)_(\d)_`)

// ruleOf is the rule that a test's name bears; "": none.
func ruleOf(test string) string {
	if m := moneyTest.FindStringSubmatch(test); m != nil {
		return m[1] + "." + m[2]
	}
	return ""
}
