package storehub

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are the pages people read.
func documents(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "*/README.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			pages[filepath.ToSlash(name)] = read(t, name)
		}
	}
	return pages
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReadmeShowsWhatDiagnoseSays holds the front page's report to the one that
// the recorded morning gives.
func TestReadmeShowsWhatDiagnoseSays(t *testing.T) {
	want := strings.TrimRight(read(t, "diagnostics/testdata/dns_private_filtered.txt"), "\n")
	if !strings.Contains(read(t, "README.md"), "$ hub diagnose\n"+want+"\n```") {
		t.Errorf("README.md does not show diagnostics/testdata/dns_private_filtered.txt:\n%s", want)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)
	target  = regexp.MustCompile("`make ([a-z-]+)")
	heading = regexp.MustCompile(`(?m)^([a-z0-9-]+):.*## `)
	story   = regexp.MustCompile("`(Test[A-Za-z_]+)`")
)

// TestLinksLead follows every relative link of every page.
func TestLinksLead(t *testing.T) {
	for page, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
}

// TestTargetsExist wants every make target that a page names, each with a line of help.
func TestTargetsExist(t *testing.T) {
	var targets []string
	for _, m := range heading.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets = append(targets, m[1])
	}
	for page, text := range documents(t) {
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(targets, m[1]) {
				t.Errorf("%s names make %s; the Makefile has %v", page, m[1], targets)
			}
		}
	}
}

// TestStoriesAreTold wants every story of the docs to be a test, and the other way round.
func TestStoriesAreTold(t *testing.T) {
	page := read(t, "docs/story.md")
	var told []string
	names, err := filepath.Glob("internal/storesim/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for _, m := range regexp.MustCompile(`(?m)^func (TestStory_\w+|TestWalk)\(`).FindAllStringSubmatch(read(t, name), -1) {
			told = append(told, m[1])
		}
	}
	for _, m := range story.FindAllStringSubmatch(page, -1) {
		if !slices.Contains(told, m[1]) {
			t.Errorf("docs/story.md names %s, which no test tells", m[1])
		}
	}
	for _, name := range told {
		if name != "TestStory_SunnyDay" && !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/story.md does not name %s", name)
		}
	}
}
