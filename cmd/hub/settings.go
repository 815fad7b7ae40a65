package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"storehub/hub"
)

// completeConfig sets keys that the file does not have yet, and says whether it
// changed anything. Comments and order stay: a commented-out key is uncommented
// where it stands. A file that is not there is made. The file is written only if
// the parser reads from it what it should.
func completeConfig(file string, settings map[string]string) (changed bool, err error) {
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	text := string(b)
	if err != nil {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return false, err
		}
		text = hub.DefaultConfigText
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		text = setKey(text, key, settings[key])
	}
	if text == string(b) {
		return false, nil
	}
	cfg, err := hub.ParseConfig(strings.NewReader(text), file)
	if err != nil {
		return false, err
	}
	for key, got := range map[string]string{"store": cfg.Store, "hq.url": cfg.HQ.URL, "hq.ca_file": cfg.HQ.CAFile} {
		if want, ok := settings[key]; ok && got != want {
			return false, fmt.Errorf("%s: %s would be %q, not %q", file, key, got, want)
		}
	}
	return true, replaceFile(file, []byte(text), 0o644)
}

// setKey sets "key" or "section.key" in the text, unless it is set already.
func setKey(text, key, value string) string {
	section, name, nested := strings.Cut(key, ".")
	indent := "  "
	if !nested {
		section, name, indent = "", key, ""
	}
	lines := strings.Split(text, "\n")
	from, to := 0, len(lines)
	if nested {
		from = slices.IndexFunc(lines, func(l string) bool { return regexp.MustCompile(`^` + section + `:\s*(#.*)?$`).MatchString(l) })
		if from < 0 {
			return strings.TrimRight(text, "\n") + "\n\n" + section + ":\n" + indent + name + ": " + strconv.Quote(value) + "\n"
		}
		from++
		if i := slices.IndexFunc(lines[from:], func(l string) bool { return regexp.MustCompile(`^[^\s#]`).MatchString(l) }); i >= 0 {
			to = from + i
		}
		// The file's own indentation, if the section has a line.
		if i := slices.IndexFunc(lines[from:to], func(l string) bool { return regexp.MustCompile(`^\s+[a-z_]+:`).MatchString(l) }); i >= 0 {
			l := lines[from+i]
			indent = l[:len(l)-len(strings.TrimLeft(l, " "))]
		}
	}
	set := regexp.MustCompile(`^` + indent + name + `\s*:`)
	commented := regexp.MustCompile(`^` + indent + `#\s?` + name + `\s*:`)
	line := indent + name + ": " + strconv.Quote(value)
	place := -1
	for i := from; i < to; i++ {
		switch {
		case set.MatchString(lines[i]):
			return text
		case place < 0 && commented.MatchString(lines[i]):
			place = i
		}
	}
	if place >= 0 {
		lines[place] = line
		return strings.Join(lines, "\n")
	}
	return strings.Join(slices.Insert(lines, from, line), "\n")
}
