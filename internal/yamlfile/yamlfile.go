// Package yamlfile reads a configuration file strictly: a table says which keys there
// are and what sets each; anything else is an error with its line and key.
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// most bounds a file: a hand-written one has a few hundred lines at most.
const most = 256 << 10

// Error says what is wrong, where, in the words of the file.
type Error struct {
	File string
	Line int    // 0: nowhere in particular
	Key  string // "": the file as a whole
	Err  error
}

// Error is `hub.yaml:12: checks.every: …`.
func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s += ":" + strconv.Itoa(e.Line)
	}
	if e.Key != "" {
		s += ": " + e.Key
	}
	return s + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Keys is every key there is, with dots between sections, and what sets it in a C.
type Keys[C any] map[string]func(*C, Value) error

// Read sets in c what a file says and leaves the rest as it is; check then says which
// key is wrong of the whole. Every error is an [*Error]; name is the file's, for
// their text.
func (k Keys[C]) Read(r io.Reader, name string, c *C, check func(C) (key string, err error)) error {
	src, err := io.ReadAll(io.LimitReader(r, most+1))
	switch {
	case err != nil:
		return &Error{File: name, Err: err}
	case len(src) > most:
		return &Error{File: name, Err: fmt.Errorf("larger than %d KiB", most>>10)}
	case !utf8.Valid(src) || bytes.IndexByte(src, 0) >= 0:
		return &Error{File: name, Err: errors.New("not UTF-8 text")}
	}
	file, err := parser.ParseBytes(src, 0)
	if err != nil {
		return syntaxError(name, err)
	}
	docs := slices.DeleteFunc(file.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	if len(docs) > 1 {
		return &Error{File: name, Line: line(docs[1].Body), Err: errors.New("a second document; there may be one")}
	}
	lines := map[string]int{}
	for _, d := range docs {
		if _, comment := d.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		if err := k.section(c, "", d.Body, lines); err != nil {
			err.File = name
			return err
		}
	}
	if key, err := check(*c); err != nil {
		return &Error{File: name, Line: lines[key], Key: key, Err: err}
	}
	return nil
}

// section reads one mapping; prefix is "" or ends in a dot.
func (k Keys[C]) section(c *C, prefix string, n ast.Node, lines map[string]int) *Error {
	name := strings.TrimSuffix(prefix, ".")
	if _, null := n.(*ast.NullNode); null {
		return nil // a section whose keys are all commented out
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		return &Error{Line: line(n), Key: name, Err: fmt.Errorf("want keys under it, not %s", describe(n))}
	}
	for it := m.MapRange(); it.Next(); {
		word, ok := it.Key().(*ast.StringNode)
		if !ok {
			return &Error{Line: line(it.Key()), Key: name, Err: fmt.Errorf("%q cannot be a key", it.Key().String())}
		}
		key := prefix + word.Value
		lines[key] = line(it.Key())
		switch set, known := k[key]; {
		case known:
			v, err := scalarOrList(it.Value())
			if err == nil && !v.null {
				err = set(c, v)
			}
			if err != nil {
				return &Error{Line: lines[key], Key: key, Err: err}
			}
		case k.isSection(key):
			if err := k.section(c, key+".", it.Value(), lines); err != nil {
				return err
			}
		default:
			return &Error{Line: lines[key], Key: key, Err: errors.New("unknown key" + k.meant(key))}
		}
	}
	return nil
}

func (k Keys[C]) isSection(key string) bool {
	for known := range k {
		if strings.HasPrefix(known, key+".") {
			return true
		}
	}
	return false
}

// meant guesses the key that was meant: the same last word elsewhere.
func (k Keys[C]) meant(key string) string {
	last := key[strings.LastIndexByte(key, '.')+1:]
	var found []string
	for known := range k {
		if known == last || strings.HasSuffix(known, "."+last) {
			found = append(found, known)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return "; did you mean " + found[0] + "?"
}

// Value is what stands behind a key, as it was written.
type Value struct {
	text string
	list []string
	many bool // it is a list
	null bool // nothing was written: the default holds
}

func scalarOrList(n ast.Node) (Value, error) {
	if seq, ok := n.(*ast.SequenceNode); ok {
		v := Value{many: true, list: make([]string, 0, len(seq.Values))}
		for _, item := range seq.Values {
			one, err := scalarOrList(item)
			if err != nil {
				return v, err
			}
			if one.many || one.null {
				return v, fmt.Errorf("want plain values in the list, not %s", describe(item))
			}
			v.list = append(v.list, one.text)
		}
		return v, nil
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return Value{null: true}, nil
	case *ast.StringNode:
		return Value{text: n.Value}, nil
	case *ast.LiteralNode:
		return Value{text: strings.TrimSpace(n.Value.Value)}, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return Value{text: n.GetToken().Value}, nil // 0412 stays 0412
	}
	return Value{}, fmt.Errorf("want a plain value, not %s", describe(n))
}

func line(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

func describe(n ast.Node) string {
	switch n.(type) {
	case ast.MapNode:
		return "more keys"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor"
	case *ast.TagNode:
		return "a tag"
	case *ast.NullNode:
		return "nothing"
	}
	return strconv.Quote(n.String())
}

func syntaxError(name string, err error) *Error {
	out := &Error{File: name, Err: err}
	var at yaml.Error
	if errors.As(err, &at) {
		out.Err = errors.New(at.GetMessage())
		if t := at.GetToken(); t != nil && t.Position != nil {
			out.Line = t.Position.Line
		}
	}
	return out
}
