package storehub

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// licences are those under which code may come into what we ship, each by words that
// stand in it and in no other.
var licences = []struct {
	name  string
	words []string
}{
	{"Apache-2.0", []string{"apache license", "version 2.0, january 2004"}},
	{"MPL-2.0", []string{"mozilla public license version 2.0"}},
	{"MIT", []string{"permission is hereby granted, free of charge, to any person obtaining a copy"}},
	{"BSD", []string{"redistribution and use in source and binary forms, with or without"}},
	{"Zlib", []string{"this software is provided 'as-is', without any express or implied warranty", "permission is granted to anyone to use this software for any purpose"}},
	{"ISC", []string{"permission to use, copy, modify, and", "distribute this software for any purpose with or without fee is hereby granted"}},
	{"Unlicense", []string{"this is free and unencumbered software released into the public domain"}},
}

// notShipped are words of licences that must not come in, whatever else is said beside them.
var notShipped = []string{"gnu general public license", "gnu affero general public license", "gnu lesser general public license", "server side public license", "business source license", "commons clause"}

// TestEveryModuleHasALicenceThatMayBeShipped reads the licence of each module that hub or
// hq is built of, on every platform. It asks nobody: the modules are on this machine.
func TestEveryModuleHasALicenceThatMayBeShipped(t *testing.T) {
	dirs := map[string]string{}
	for _, platform := range []string{"linux", "windows", "darwin"} {
		cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}@{{.Version}}\t{{.Dir}}{{end}}", "./cmd/hub", "./cmd/hq")
		cmd.Env = append(os.Environ(), "GOOS="+platform, "GOARCH=amd64", "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("list modules for %s: %v", platform, err)
		}
		for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
			if name, dir, ok := strings.Cut(s.Text(), "\t"); ok && !strings.HasPrefix(name, module+"@") {
				dirs[name] = dir
			}
		}
	}
	if len(dirs) < 20 {
		t.Fatalf("only %d modules are listed", len(dirs))
	}
	for name, dir := range dirs {
		text, err := licenceText(dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := licenceOf(text); got == "" {
			t.Errorf("%s: its licence is none of those in the list", name)
		}
	}
}

func TestALicenceIsKnownByItsWords(t *testing.T) {
	for text, want := range map[string]string{
		"Permission is hereby granted,\n free of charge, to any person obtaining a copy of": "MIT",
		"Apache License\n  Version 2.0, January 2004":                                       "Apache-2.0",
		"GNU GENERAL PUBLIC LICENSE\nVersion 3":                                             "",
		"Apache License Version 2.0, January 2004, with the Commons Clause":                 "",
		"All rights reserved.": "",
		"":                     "",
	} {
		if got := licenceOf(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// licenceText is what the module's own licence files say.
func licenceText(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, e := range entries {
		// What others' parts say stands in files of other names, and their modules are here too.
		name := strings.ToLower(strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())))
		if e.IsDir() || !slices.Contains([]string{"license", "licence", "copying", "unlicense"}, name) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		all.Write(b)
		all.WriteByte('\n')
	}
	return all.String(), nil
}

// licenceOf names a licence of the list; "": it is none, or one that must not come in.
func licenceOf(text string) string {
	text = strings.Join(strings.Fields(strings.ToLower(text)), " ")
	has := func(w string) bool { return strings.Contains(text, w) }
	for _, l := range licences {
		if !slices.ContainsFunc(l.words, func(w string) bool { return !has(w) }) {
			// The Mozilla licence names the GNU ones as what it may be combined with.
			if l.name != "MPL-2.0" && slices.ContainsFunc(notShipped, has) {
				return ""
			}
			return l.name
		}
	}
	return ""
}
