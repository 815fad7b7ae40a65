package sandbox

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// The readers of parameters below keep the first refusal in the call; begin
// returns it. So a handler reads all it needs, then begins, then acts.

func (c *call) fail(e *apiError) {
	if c.err == nil {
		c.err = e
	}
}

func (c *call) param(name string) (*form, bool) {
	f, ok := c.form.hash[name]
	return f, ok
}

// given says whether the parameter was sent at all, empty or not.
func (c *call) given(name string) bool { _, ok := c.param(name); return ok }

// text reads an optional text.
func (c *call) text(name string) string {
	f, ok := c.param(name)
	if !ok {
		return ""
	}
	return c.textOf(f, name)
}

func (c *call) textOf(f *form, name string) string {
	if f.kind != isText {
		c.fail(invalid("", name, "Invalid string: "+name))
		return ""
	}
	if !utf8.ValidString(f.text) {
		c.fail(invalid("", name, "Invalid UTF-8 in "+name))
	}
	return f.text
}

// need reads a text that must be there and not empty.
func (c *call) need(name string) string {
	if !c.given(name) {
		c.fail(missing(name))
		return ""
	}
	v := c.text(name)
	if v == "" {
		c.fail(invalid("parameter_invalid_empty", name, "You passed an empty string for '"+name+"'."))
	}
	return v
}

// oneOf reads an optional text out of a list.
func (c *call) oneOf(name string, allowed ...string) string {
	v := c.text(name)
	if v == "" {
		return ""
	}
	for _, a := range allowed {
		if a == v {
			return v
		}
	}
	c.fail(invalid("", name, "Invalid "+name+": must be one of "+strings.Join(allowed, ", ")))
	return ""
}

// integer reads an optional whole number; nil where it was not sent.
func (c *call) integer(name string) *int64 {
	f, ok := c.param(name)
	if !ok {
		return nil
	}
	return c.integerOf(f, name)
}

func (c *call) integerOf(f *form, name string) *int64 {
	n, err := strconv.ParseInt(f.text, 10, 64)
	if f.kind != isText || err != nil {
		c.fail(invalid("parameter_invalid_integer", name, "Invalid integer: "+f.text))
		return nil
	}
	return &n
}

// The bounds of Stripe's amounts.
const maxAmount = 99_999_999

// amount reads an optional amount of money.
func (c *call) amount(name string) *int64 {
	n := c.integer(name)
	if n == nil {
		return nil
	}
	if *n < 1 {
		c.fail(invalid("parameter_invalid_integer", name, "This value must be greater than or equal to 1."))
	}
	if *n > maxAmount {
		c.fail(invalid("amount_too_large", name, "Amount must be no more than 99999999."))
	}
	return n
}

// flag reads an optional boolean.
func (c *call) flag(name string) *bool {
	f, ok := c.param(name)
	if !ok {
		return nil
	}
	return c.flagOf(f, name)
}

func (c *call) flagOf(f *form, name string) *bool {
	if f.kind == isText && (f.text == "true" || f.text == "false") {
		v := f.text == "true"
		return &v
	}
	c.fail(invalid("", name, "Invalid boolean: "+f.text))
	return nil
}

// texts reads a list of texts.
func (c *call) texts(name string) []string {
	f, ok := c.param(name)
	if !ok {
		return nil
	}
	items, ok := f.items()
	if !ok {
		c.fail(invalid("", name, "Invalid array"))
		return nil
	}
	var out []string
	for _, v := range items {
		out = append(out, c.textOf(v, name))
	}
	return out
}

// hash reads a hash whose keys must be among allowed; nil where it was not sent
// or was sent empty.
func (c *call) hash(name string, allowed ...string) map[string]*form {
	f, ok := c.param(name)
	if !ok {
		return nil
	}
	return c.hashOf(f, name, allowed...)
}

func (c *call) hashOf(f *form, name string, allowed ...string) map[string]*form {
	if f.kind == isText && f.text == "" {
		return nil
	}
	if f.kind != isHash {
		c.fail(invalid("", name, "Invalid hash"))
		return nil
	}
next:
	for _, k := range f.names() {
		for _, a := range allowed {
			if a == k {
				continue next
			}
		}
		c.fail(unknownParam(name + "[" + k + "]"))
	}
	return f.hash
}

// Stripe's bounds of metadata.
const (
	maxMetadata      = 50
	maxMetadataKey   = 40
	maxMetadataValue = 500
)

// metadata returns old with the changes that were sent: an empty value takes a
// key away, an empty metadata takes all.
func (c *call) metadata(old map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range old {
		out[k] = v
	}
	f, ok := c.param("metadata")
	if !ok {
		return out
	}
	if f.kind == isText && f.text == "" {
		return map[string]string{}
	}
	if f.kind != isHash {
		c.fail(invalid("", "metadata", "Invalid hash"))
		return out
	}
	for _, k := range f.names() {
		v := c.textOf(f.hash[k], "metadata["+k+"]")
		switch {
		case utf8.RuneCountInString(k) > maxMetadataKey || utf8.RuneCountInString(v) > maxMetadataValue:
			c.fail(invalid("", "metadata["+k+"]", "Metadata keys hold up to 40 characters, values up to 500."))
		case v == "":
			delete(out, k)
		default:
			out[k] = v
		}
	}
	if len(out) > maxMetadata {
		c.fail(invalid("", "metadata", "Metadata holds up to 50 keys."))
	}
	return out
}
