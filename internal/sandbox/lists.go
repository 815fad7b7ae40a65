package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
)

// list is a page of objects, newest first.
type list struct {
	Object  string `json:"object"`
	URL     string `json:"url"`
	HasMore bool   `json:"has_more"`
	Data    []any  `json:"data"`
}

// page answers a list call out of a shelf: those that keep returns true for.
func page[T item](c *call, kind string, from *shelf[T], keep func(T) bool, wire func(T) any) (any, *apiError) {
	limit := 10
	if n := c.integer("limit"); n != nil {
		if *n < 1 || *n > 100 {
			c.fail(invalid("parameter_invalid_integer", "limit", "The limit must be from 1 to 100."))
		}
		limit = int(*n)
	}
	after, before := c.text("starting_after"), c.text("ending_before")
	if after != "" && before != "" {
		c.fail(invalid("parameters_exclusive", "", "Only one of starting_after and ending_before may be given."))
	}
	if e := c.begin(); e != nil {
		return nil, e
	}
	for name, id := range map[string]string{"starting_after": after, "ending_before": before} {
		if _, ok := from.get(id); id != "" && !ok {
			return nil, noSuch(kind, id, name)
		}
	}
	all := slices.Clone(from.list)
	slices.Reverse(all)
	// The cursor may itself not be kept: it is a place in the whole order.
	if after != "" {
		all = all[slices.IndexFunc(all, func(v T) bool { return v.ident() == after })+1:]
	}
	if before != "" {
		all = all[:slices.IndexFunc(all, func(v T) bool { return v.ident() == before })]
	}
	all = slices.DeleteFunc(all, func(v T) bool { return !keep(v) })
	out := &list{Object: "list", URL: c.route.path, HasMore: len(all) > limit, Data: []any{}}
	switch {
	case !out.HasMore:
	case before != "": // the page next to the cursor
		all = all[len(all)-limit:]
	default:
		all = all[:limit]
	}
	for _, v := range all {
		out.Data = append(out.Data, wire(v))
	}
	return out, nil
}

func every[T any](T) bool { return true }

// created reads the filter created=…, created[gt|gte|lt|lte]=….
func (c *call) created() func(int64) bool {
	if f, ok := c.param("created"); ok && f.kind == isText {
		n := c.integer("created")
		return func(t int64) bool { return n != nil && t == *n }
	}
	var bounds []func(int64) bool
	h := c.hash("created", "gt", "gte", "lt", "lte")
	for op, f := range h {
		n := c.integerOf(f, "created["+op+"]")
		if n == nil {
			continue
		}
		bounds = append(bounds, map[string]func(int64) bool{
			"gt": func(t int64) bool { return t > *n }, "gte": func(t int64) bool { return t >= *n },
			"lt": func(t int64) bool { return t < *n }, "lte": func(t int64) bool { return t <= *n },
		}[op])
	}
	return func(t int64) bool {
		for _, b := range bounds {
			if b != nil && !b(t) {
				return false
			}
		}
		return true
	}
}

// maxExpand is how deep Stripe expands.
const maxExpand = 4

// expandable are the steps of paths that lead to an object.
var expandable = strings.Fields("data latest_charge payment_intent charge refunds refund location customer payment_method " +
	"setup_intent generated_card action process_payment_intent process_setup_intent refund_payment")

// checkExpand refuses paths that lead nowhere in any object. It is done before
// execution: a typo must not cost an answer whose effect has happened.
func (c *call) checkExpand() {
	for _, path := range c.expand {
		steps := strings.Split(path, ".")
		if len(steps) > maxExpand {
			c.fail(invalid("", "expand", "You cannot expand more than 4 levels of a property: "+path))
		}
		for _, step := range steps {
			if !slices.Contains(expandable, step) {
				c.fail(notExpandable(path))
			}
		}
	}
}

func notExpandable(path string) *apiError {
	return invalid("", "expand", "This property cannot be expanded ("+path+").")
}

// render encodes an answer with the expansions that were asked for.
func (c *call) render(v any) ([]byte, *apiError) {
	b := encode(v)
	if len(c.expand) == 0 {
		return b, nil
	}
	var tree any
	if err := json.Unmarshal(b, &tree); err != nil {
		panic("sandbox: decode own answer: " + err.Error())
	}
	for _, path := range c.expand {
		if !c.expandIn(tree, strings.Split(path, ".")) {
			return nil, notExpandable(path)
		}
	}
	return encode(tree), nil
}

// expandIn replaces the id at the path by its object. An empty place is fine.
func (c *call) expandIn(tree any, steps []string) bool {
	switch node := tree.(type) {
	case []any:
		for _, v := range node {
			if !c.expandIn(v, steps) {
				return false
			}
		}
		return true
	case map[string]any:
		c.addRefunds(node, steps[0])
		next, ok := node[steps[0]]
		if !ok {
			return false
		}
		if id, isText := next.(string); isText {
			object := c.s.lookup(id, c.version)
			if object == nil {
				return false
			}
			var expanded any
			if err := json.Unmarshal(encode(object), &expanded); err != nil {
				panic("sandbox: decode own object: " + err.Error())
			}
			node[steps[0]], next = expanded, expanded
		}
		return len(steps) == 1 || next == nil || c.expandIn(next, steps[1:])
	}
	return false
}

// addRefunds gives a charge its list of refunds, which only an expansion tells.
func (c *call) addRefunds(node map[string]any, step string) {
	id, _ := node["id"].(string)
	if node["object"] != "charge" || step != "refunds" {
		return
	}
	data := []any{}
	for _, re := range slices.Backward(c.s.st.Refunds.list) {
		if re.Charge == id {
			data = append(data, re.wire())
		}
	}
	node["refunds"] = &list{Object: "list", URL: "/v1/refunds?charge=" + id, Data: data}
}

// lookup finds any object by its id.
func (s *Sandbox) lookup(id, version string) any {
	prefix, _, _ := strings.Cut(id, "_")
	switch prefix {
	case "pi":
		if v, ok := s.st.Intents.get(id); ok {
			return v.wire(version)
		}
	case "ch":
		if v, ok := s.st.Charges.get(id); ok {
			return v.wire(version)
		}
	case "re":
		if v, ok := s.st.Refunds.get(id); ok {
			return v.wire()
		}
	case "tml":
		if v, ok := s.st.Locations.get(id); ok {
			return v
		}
	case "tmc":
		if v, ok := s.st.Configurations.get(id); ok {
			return v.wire(version)
		}
	case "tmr":
		if v, ok := s.st.Readers.get(id); ok {
			return s.readerWire(v)
		}
	case "seti":
		if v, ok := s.st.SetupIntents.get(id); ok {
			return v
		}
	case "cus":
		if v, ok := s.st.Customers.get(id); ok {
			return v
		}
	case "pm":
		if v, ok := s.st.PaymentMethods.get(id); ok {
			return v
		}
	}
	return nil
}
