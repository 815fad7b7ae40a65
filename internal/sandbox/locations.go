package sandbox

import (
	"slices"
	"strings"
)

// null is a field of Stripe's that the sandbox never fills.
type null = *struct{}

type address struct {
	City       *string `json:"city"`
	Country    *string `json:"country"`
	Line1      *string `json:"line1"`
	Line2      *string `json:"line2"`
	PostalCode *string `json:"postal_code"`
	State      *string `json:"state"`
}

type location struct {
	ID                     string            `json:"id"`
	Object                 string            `json:"object"`
	Address                address           `json:"address"`
	ConfigurationOverrides string            `json:"configuration_overrides,omitempty"`
	DisplayName            string            `json:"display_name"`
	Livemode               bool              `json:"livemode"`
	Metadata               map[string]string `json:"metadata"`
	Phone                  string            `json:"phone,omitempty"`
}

func (l *location) ident() string { return l.ID }

// addressParts says what an address needs beside line1 and country. A country
// that is missing here has no Terminal.
var addressParts = func() map[string][]string {
	m := map[string][]string{"GI": {}}
	add := func(countries string, parts ...string) {
		for _, c := range strings.Fields(countries) {
			m[c] = parts
		}
	}
	add("AU CA IT JP ES US", "city", "state", "postal_code")
	add("AT BE CH CZ DE DK EE FI FR GB GR HU LI LT LU LV MY NL NO NZ PL PT RO SE SK", "city", "postal_code")
	add("BG HR CY IE MT SG SI", "postal_code")
	return m
}()

func optional(v string) *string {
	if v == "" {
		return nil
	}
	return &v
}

// readAddress takes the parts that were sent over those of old.
func (c *call) readAddress(old address) address {
	h := c.hash("address", "line1", "line2", "city", "state", "postal_code", "country")
	read := func(name string, was *string) *string {
		f, ok := h[name]
		if !ok {
			return was
		}
		return optional(c.textOf(f, "address["+name+"]"))
	}
	a := address{
		City: read("city", old.City), Country: read("country", old.Country), Line1: read("line1", old.Line1),
		Line2: read("line2", old.Line2), PostalCode: read("postal_code", old.PostalCode), State: read("state", old.State),
	}
	if a.Country == nil {
		c.fail(missing("address[country]"))
		return a
	}
	country := strings.ToUpper(*a.Country)
	a.Country = &country
	parts, ok := addressParts[country]
	if !ok {
		c.fail(invalid("terminal_location_country_unsupported", "address[country]", "Terminal is not supported in "+country+"."))
		return a
	}
	if old.Country != nil && *old.Country != country {
		c.fail(invalid("", "address[country]", "The country of a location cannot be changed: make another location."))
	}
	for _, p := range append([]string{"line1"}, parts...) {
		have := map[string]*string{"line1": a.Line1, "city": a.City, "state": a.State, "postal_code": a.PostalCode}[p]
		if have == nil {
			c.fail(missing("address[" + p + "]"))
		}
	}
	return a
}

func (s *Sandbox) createLocation(c *call) (any, *apiError) {
	l := &location{Object: "terminal.location", Livemode: s.live, DisplayName: c.need("display_name"), Phone: c.text("phone"),
		ConfigurationOverrides: c.text("configuration_overrides"), Metadata: c.metadata(nil)}
	if !c.given("address") {
		c.fail(missing("address"))
	}
	l.Address = c.readAddress(address{})
	if len(l.DisplayName) > 1000 {
		c.fail(invalid("", "display_name", "A display name holds up to 1000 characters."))
	}
	if e := c.begin(); e != nil {
		return nil, e
	}
	if e := s.checkOverride(l.ConfigurationOverrides); e != nil {
		return nil, e
	}
	l.ID = s.id("tml_", 14)
	s.st.Locations.add(l)
	return l, nil
}

func (s *Sandbox) checkOverride(id string) *apiError {
	if id == "" {
		return nil
	}
	conf, ok := s.st.Configurations.get(id)
	if !ok {
		return noSuch("configuration", id, "configuration_overrides")
	}
	if conf.IsAccountDefault {
		return invalid("", "configuration_overrides", "The account's default configuration cannot be assigned to a location.")
	}
	return nil
}

func (s *Sandbox) listLocations(c *call) (any, *apiError) {
	return page(c, "location", &s.st.Locations, every, func(l *location) any { return l })
}

// needLocation begins the call and finds the location in its path.
func (s *Sandbox) needLocation(c *call) (*location, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	l, ok := s.st.Locations.get(c.ids[0])
	if !ok {
		return nil, noSuch("location", c.ids[0], "")
	}
	return l, nil
}

func (s *Sandbox) getLocation(c *call) (any, *apiError) {
	l, e := s.needLocation(c)
	if e != nil {
		return nil, e
	}
	return l, nil
}

func (s *Sandbox) updateLocation(c *call) (any, *apiError) {
	old, ok := s.st.Locations.get(c.ids[0])
	if !ok {
		return nil, noSuch("location", c.ids[0], "")
	}
	l := *old
	l.Metadata = c.metadata(old.Metadata)
	if c.given("display_name") {
		l.DisplayName = c.need("display_name")
	}
	if c.given("address") {
		l.Address = c.readAddress(old.Address)
	}
	if c.given("phone") {
		l.Phone = c.text("phone")
	}
	if c.given("configuration_overrides") {
		l.ConfigurationOverrides = c.text("configuration_overrides")
	}
	if e := c.begin(); e != nil {
		return nil, e
	}
	if e := s.checkOverride(l.ConfigurationOverrides); e != nil {
		return nil, e
	}
	*old = l
	return old, nil
}

// deleted is what is left of an object.
type deleted struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Deleted bool   `json:"deleted"`
}

func (s *Sandbox) deleteLocation(c *call) (any, *apiError) {
	l, e := s.needLocation(c)
	if e != nil {
		return nil, e
	}
	if slices.ContainsFunc(s.st.Readers.list, func(r *readerRecord) bool { return r.Location != nil && *r.Location == l.ID }) {
		return nil, invalid("", "", "A location with readers cannot be deleted.")
	}
	s.st.Locations.remove(l.ID)
	return deleted{l.ID, l.Object, true}, nil
}
