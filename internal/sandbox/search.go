package sandbox

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SetSearchLag says how long the search index is behind: an intent is found
// when its metadata have been as they are for that long. Stripe's is under a
// minute on a good day and an hour on a bad one.
func (s *Sandbox) SetSearchLag(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.searchLag = d
}

// query is a parsed search: clauses that must all hold, or of which one must.
type query struct {
	clauses []clause
	any     bool
}

type clause struct {
	field, key string // key: of metadata
	op         string // : ~ > < >= <=
	value      string
	null       bool
	not        bool
}

// parseQuery reads Stripe's search language, as far as intents need it:
// metadata['order']:'17' AND status:'succeeded' AND -currency:'usd'.
func parseQuery(text string) (query, error) {
	var q query
	p := &queryParser{rest: text}
	for {
		c, err := p.clause()
		if err != nil {
			return query{}, fmt.Errorf("parse query: %w", err)
		}
		q.clauses = append(q.clauses, c)
		p.space()
		if p.rest == "" {
			return q, nil
		}
		or := p.word("OR")
		if !or {
			p.word("AND") // two clauses side by side are joined by AND
		}
		if len(q.clauses) > 1 && or != q.any {
			return query{}, fmt.Errorf("parse query: AND and OR in one query")
		}
		q.any = or
		if len(q.clauses) == 10 {
			return query{}, fmt.Errorf("parse query: more than 10 clauses")
		}
	}
}

type queryParser struct{ rest string }

func (p *queryParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\n") }

func (p *queryParser) word(w string) bool {
	p.space()
	if len(p.rest) > len(w) && strings.EqualFold(p.rest[:len(w)], w) && p.rest[len(w)] == ' ' {
		p.rest = p.rest[len(w):]
		return true
	}
	return false
}

func (p *queryParser) take(s string) bool {
	var ok bool
	p.rest, ok = strings.CutPrefix(p.rest, s)
	return ok
}

func (p *queryParser) clause() (clause, error) {
	p.space()
	var c clause
	c.not = p.take("-")
	end := strings.IndexFunc(p.rest, func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' })
	if end <= 0 {
		return c, fmt.Errorf("no field at %q", p.rest)
	}
	c.field, p.rest = p.rest[:end], p.rest[end:]
	switch c.field {
	case "metadata":
		if !p.take("[") {
			return c, fmt.Errorf("metadata without a key")
		}
		var err error
		if c.key, err = p.quoted(); err != nil {
			return c, err
		}
		if !p.take("]") {
			return c, fmt.Errorf("key %q is not closed", c.key)
		}
	case "amount", "created", "currency", "customer", "status":
	default:
		return c, fmt.Errorf("field %q cannot be searched", c.field)
	}
	for _, op := range []string{">=", "<=", ">", "<", ":", "~"} {
		if p.take(op) {
			c.op = op
			break
		}
	}
	if c.op == "" {
		return c, fmt.Errorf("no operator at %q", p.rest)
	}
	return c, p.value(&c)
}

// value reads a quoted text, a number, or null.
func (p *queryParser) value(c *clause) error {
	if p.take("null") {
		c.null = true
	} else if strings.HasPrefix(p.rest, "'") || strings.HasPrefix(p.rest, `"`) {
		var err error
		if c.value, err = p.quoted(); err != nil {
			return err
		}
	} else {
		end := strings.IndexFunc(p.rest, func(r rune) bool { return r < '0' || r > '9' })
		if end < 0 {
			end = len(p.rest)
		}
		c.value, p.rest = p.rest[:end], p.rest[end:]
		if c.value == "" {
			return fmt.Errorf("no value at %q", p.rest)
		}
	}
	numeric := c.field == "amount" || c.field == "created"
	if _, err := strconv.ParseInt(c.value, 10, 64); numeric && err != nil {
		return fmt.Errorf("%s wants a number, not %q", c.field, c.value)
	}
	if !numeric && c.op != ":" && c.op != "~" {
		return fmt.Errorf("%s cannot be compared by %s", c.field, c.op)
	}
	return nil
}

// quoted reads '…' or "…", in which \ keeps the next letter as it is.
func (p *queryParser) quoted() (string, error) {
	if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
		return "", fmt.Errorf("no quotation mark at %q", p.rest)
	}
	quote := p.rest[0]
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch ch := p.rest[i]; {
		case ch == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		case ch == quote:
			p.rest = p.rest[i+1:]
			return b.String(), nil
		default:
			b.WriteByte(ch)
		}
	}
	return "", fmt.Errorf("quotation is not closed")
}

func (q query) match(in *intentRecord) bool {
	for _, c := range q.clauses {
		if c.match(in) == q.any {
			return q.any
		}
	}
	return !q.any
}

func (c clause) match(in *intentRecord) bool { return c.holds(in) != c.not }

func (c clause) holds(in *intentRecord) bool {
	var have string
	there := true
	switch c.field {
	case "amount":
		return c.compare(in.Amount)
	case "created":
		return c.compare(in.Created)
	case "currency":
		have = in.Currency
	case "status":
		have = in.Status
	case "customer":
		if there = in.Customer != nil; there {
			have = *in.Customer
		}
	case "metadata":
		have, there = in.Metadata[c.key]
	}
	switch {
	case c.null:
		return !there
	case c.op == "~":
		return there && strings.Contains(strings.ToLower(have), strings.ToLower(c.value))
	default:
		return there && strings.EqualFold(have, c.value)
	}
}

func (c clause) compare(have int64) bool {
	want, _ := strconv.ParseInt(c.value, 10, 64) // parseQuery has seen it
	switch c.op {
	case ">":
		return have > want
	case "<":
		return have < want
	case ">=":
		return have >= want
	case "<=":
		return have <= want
	default:
		return have == want
	}
}

// searchResult is a page of what was found, newest first.
type searchResult struct {
	Object     string  `json:"object"`
	URL        string  `json:"url"`
	HasMore    bool    `json:"has_more"`
	Data       []any   `json:"data"`
	NextPage   *string `json:"next_page"`
	TotalCount *int    `json:"total_count,omitempty"`
}

func (s *Sandbox) searchIntents(c *call) (any, *apiError) {
	text, limit, start := c.need("query"), int64(10), 0
	q, err := parseQuery(text)
	if err != nil {
		c.fail(invalid("", "query", "We were unable to parse your search query: "+err.Error()))
	}
	if n := c.integer("limit"); n != nil {
		limit = *n
		if limit < 1 || limit > 100 {
			c.fail(invalid("parameter_invalid_integer", "limit", "The limit must be from 1 to 100."))
		}
	}
	if cursor := c.text("page"); cursor != "" {
		b, _ := base64.RawURLEncoding.DecodeString(cursor)
		if start, err = strconv.Atoi(string(b)); err != nil || start < 0 {
			c.fail(invalid("", "page", "This is no page of a search."))
		}
	}
	if e := c.begin(); e != nil {
		return nil, e
	}
	known := s.now().Add(-s.searchLag)
	var found []any
	for _, in := range slices.Backward(s.st.Intents.list) {
		if !in.Changed.After(known) && q.match(in) {
			found = append(found, in.wire(c.version))
		}
	}
	end := min(start+int(limit), len(found))
	out := &searchResult{Object: "search_result", URL: c.route.path, Data: []any{}, HasMore: end < len(found)}
	if start < end {
		out.Data = found[start:end]
	}
	if out.HasMore {
		out.NextPage = optional(base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end))))
	}
	return out, nil
}
