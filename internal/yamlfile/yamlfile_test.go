package yamlfile

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

type config struct {
	Name  string
	Every time.Duration
	Size  int64
	Hosts []string
	Mode  string
}

var known = Keys[config]{
	"name":        Path(func(c *config) *string { return &c.Name }),
	"check.every": Or("off", func(c *config) { c.Every = 0 }, Duration(func(c *config) *time.Duration { return &c.Every }, time.Second, time.Hour)),
	"check.size":  Bytes(func(c *config) *int64 { return &c.Size }, 1<<20, 1<<40),
	"check.hosts": List(func(c *config) *[]string { return &c.Hosts }, func(s string) error {
		if s == "bad" {
			return errors.New("bad host")
		}
		return nil
	}),
	"log.mode": Choice(func(c *config, s string) { c.Mode = s }, "a", "b"),
}

func check(c config) (string, error) {
	if c.Name == "root" {
		return "name", errors.New("not root")
	}
	return "", nil
}

func TestWhatIsNotInTheFileStays(t *testing.T) {
	for text, want := range map[string]config{
		"":                                {Every: time.Minute},
		"# only a comment\n":              {Every: time.Minute},
		"name: 0412\n":                    {Name: "0412", Every: time.Minute},
		"check:\n  #every: 1s\nlog: ~\n":  {Every: time.Minute},
		"check: {every: off, size: 2MiB}": {Size: 2 << 20},
		"check:\n  hosts: [a, 1]\n":       {Every: time.Minute, Hosts: []string{"a", "1"}},
		"name:\nlog:\n  mode: b\n":        {Every: time.Minute, Mode: "b"},
	} {
		c := config{Every: time.Minute}
		if err := known.Read(strings.NewReader(text), "f", &c, check); err != nil || !reflect.DeepEqual(c, want) {
			t.Errorf("%q: %+v (%v), want %+v", text, c, err, want)
		}
	}
}

func TestEveryMistakeHasItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"nam: x":                        `f:1: nam: unknown key`,
		"\nmode: a":                     `f:2: mode: unknown key; did you mean log.mode?`,
		"check: 5":                      `f:1: check: want keys under it, not "5"`,
		"check:\n  every: 2h":           `f:2: check.every: 2h is not between 1s and 1h0m0s`,
		"check:\n  every: [off]":        `f:2: check.every: want one value, not a list`,
		"check:\n  size: 1KiB":          `f:2: check.size: 1KiB is not between 1 MiB and 1048576 MiB`,
		"check:\n  hosts: bad":          `f:2: check.hosts: want a list, not "bad"`,
		"check:\n  hosts:\n  - bad":     `f:2: check.hosts: bad host`,
		"log:\n  mode: c":               `f:2: log.mode: "c" is not one of a, b`,
		"name: ''":                      `f:1: name: empty; leave the key out for the default`,
		"name: &x y":                    `f:1: name: want a plain value, not an anchor`,
		"log:\n  mode: a\nname: root\n": `f:3: name: not root`,
		"name: a\n---\nname: b\n":       `f:3: a second document; there may be one`,
		"name: a\x00b":                  `f: not UTF-8 text`,
		"name: \xff":                    `f: not UTF-8 text`,
		strings.Repeat("#", most+1):     `f: larger than 256 KiB`,
	} {
		c := config{}
		err := known.Read(strings.NewReader(text), "f", &c, check)
		var located *Error
		if !errors.As(err, &located) || err.Error() != want {
			t.Errorf("%.40q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("name: x\ncheck:\n  every: off\n  size: 1GiB\n  hosts: [a]\n")
	f.Add("a: &a [*a]\n")
	f.Add("? [x]\n: y\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := config{Every: time.Minute}
		err := known.Read(strings.NewReader(text), "f", &c, check)
		var located *Error
		if err != nil && !errors.As(err, &located) {
			t.Fatalf("error without a place: %v", err)
		}
		if err == nil && (c.Size != 0 && c.Size < 1<<20 || c.Every > time.Hour || c.Name == "root") {
			t.Fatalf("accepted out of bounds: %+v", c)
		}
	})
}
