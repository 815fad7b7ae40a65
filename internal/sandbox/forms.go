package sandbox

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a form: generous for any call, small enough to hold.
const (
	maxPairs = 1000
	maxDepth = 8
)

// form is a decoded request: a tree of hash, list and text.
type form struct {
	hash map[string]*form
	list []*form
	text string
	kind formKind
}

type formKind uint8

const (
	isText formKind = iota
	isHash
	isList
)

// parseForm reads Stripe's spelling of nested values: a=1, a[b][c]=1, a[]=1, a[0][b]=1.
// A key that comes twice as text has its last value.
func parseForm(body string) (*form, error) {
	root := &form{kind: isHash, hash: map[string]*form{}}
	if body == "" {
		return root, nil
	}
	pairs := strings.Split(body, "&")
	if len(pairs) > maxPairs {
		return nil, fmt.Errorf("parse form: more than %d values", maxPairs)
	}
	for _, pair := range pairs {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(k)
		if err != nil {
			return nil, fmt.Errorf("parse form: key %q: %w", k, err)
		}
		value, err := url.QueryUnescape(v)
		if err != nil {
			return nil, fmt.Errorf("parse form: value of %q: %w", key, err)
		}
		path, err := splitKey(key)
		if err != nil {
			return nil, err
		}
		if err := root.put(path, value); err != nil {
			return nil, fmt.Errorf("parse form: key %q: %w", key, err)
		}
	}
	return root, nil
}

// splitKey takes a[b][] to ["a", "b", ""].
func splitKey(key string) ([]string, error) {
	name, rest, _ := strings.Cut(key, "[")
	if name == "" || strings.Contains(name, "]") {
		return nil, fmt.Errorf("parse form: key %q has no name", key)
	}
	path := []string{name}
	if len(name) == len(key) {
		return path, nil
	}
	for rest = "[" + rest; rest != ""; {
		end := strings.IndexByte(rest, ']')
		if rest[0] != '[' || end < 0 || strings.Contains(rest[1:end], "[") {
			return nil, fmt.Errorf("parse form: key %q is not nested properly", key)
		}
		path = append(path, rest[1:end])
		rest = rest[end+1:]
	}
	if len(path) > maxDepth {
		return nil, fmt.Errorf("parse form: key %q is nested deeper than %d", key, maxDepth)
	}
	return path, nil
}

func (f *form) put(path []string, value string) error {
	if len(path) == 0 {
		if f.kind != isText {
			return fmt.Errorf("is both a text and a nested value")
		}
		f.text = value
		return nil
	}
	name := path[0]
	if f.kind == isText && f.hash == nil && f.list == nil && f.text == "" {
		if name == "" {
			f.kind = isList
		} else {
			f.kind, f.hash = isHash, map[string]*form{}
		}
	}
	switch f.kind {
	case isList:
		return f.putItem(path, value)
	case isHash:
		if name == "" {
			return fmt.Errorf("is both a hash and a list")
		}
		if f.hash[name] == nil {
			f.hash[name] = &form{}
		}
		return f.hash[name].put(path[1:], value)
	default:
		return fmt.Errorf("is both a text and a nested value")
	}
}

// putItem adds to a list. With a[][b] a new item begins when b comes again.
func (f *form) putItem(path []string, value string) error {
	if path[0] != "" {
		return fmt.Errorf("is both a hash and a list")
	}
	last := len(f.list) - 1
	if len(path) == 1 || last < 0 || f.list[last].has(path[1:]) {
		f.list = append(f.list, &form{})
		last++
	}
	return f.list[last].put(path[1:], value)
}

// items reads the form as a list: a[]=…, or a[0]=…, a[1]=… in the order of numbers.
func (f *form) items() ([]*form, bool) {
	if f.kind != isHash {
		return f.list, f.kind == isList
	}
	out := make([]*form, len(f.hash))
	for k, v := range f.hash {
		i, err := strconv.Atoi(k)
		if err != nil || i < 0 || i >= len(out) || out[i] != nil {
			return nil, false
		}
		out[i] = v
	}
	return out, true
}

func (f *form) has(path []string) bool {
	for _, name := range path {
		if f.hash[name] == nil {
			return false
		}
		f = f.hash[name]
	}
	return true
}

// names lists a hash's keys in order.
func (f *form) names() []string {
	names := make([]string, 0, len(f.hash))
	for k := range f.hash {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// encode writes the form in one spelling: two forms that mean the same encode alike.
func (f *form) encode() string {
	var pairs []string
	var walk func(prefix string, f *form)
	walk = func(prefix string, f *form) {
		switch f.kind {
		case isText:
			pairs = append(pairs, url.QueryEscape(prefix)+"="+url.QueryEscape(f.text))
		case isList:
			for i, v := range f.list {
				walk(prefix+"["+strconv.Itoa(i)+"]", v)
			}
		case isHash:
			for _, name := range f.names() {
				sub := name
				if prefix != "" {
					sub = prefix + "[" + name + "]"
				}
				walk(sub, f.hash[name])
			}
		}
	}
	walk("", f)
	return strings.Join(pairs, "&")
}
