package hq

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"storehub/doors"
	"storehub/internal/yamlfile"
)

// Place is where a store is: what Stripe wants to know of a Terminal Location.
type Place struct {
	DisplayName string
	Phone       string
	Line1       string
	Line2       string
	City        string
	State       string
	PostalCode  string
	Country     string // ISO 3166, two capital letters; a Location's never changes
}

var placeKeys = yamlfile.Keys[Place]{
	"display_name":        yamlfile.Path(func(p *Place) *string { return &p.DisplayName }),
	"phone":               yamlfile.Path(func(p *Place) *string { return &p.Phone }),
	"address.line1":       yamlfile.Path(func(p *Place) *string { return &p.Line1 }),
	"address.line2":       yamlfile.Path(func(p *Place) *string { return &p.Line2 }),
	"address.city":        yamlfile.Path(func(p *Place) *string { return &p.City }),
	"address.state":       yamlfile.Path(func(p *Place) *string { return &p.State }),
	"address.postal_code": yamlfile.Path(func(p *Place) *string { return &p.PostalCode }),
	"address.country":     yamlfile.Path(func(p *Place) *string { return &p.Country }),
}

// needed are the parts of an address that Stripe wants in some countries, beside
// line1 and country (docs.stripe.com/terminal/fleet/locations-and-zones). Of
// a country that is not here Stripe itself is the judge.
var needed = map[string][]string{
	"AU CA ES IT JP US": {"address.city", "address.state", "address.postal_code"},
	"AT BE CH CZ DE DK EE FI FR GB GR HU LI LT LU LV MY NL NO NZ PL PT RO SE SK": {"address.city", "address.postal_code"},
	"BG CY HR IE MT SG SI": {"address.postal_code"},
}

var countryForm = regexp.MustCompile(`^[A-Z]{2}$`)

// ParsePlace reads a place from YAML (or JSON): display_name, phone, and address with
// line1, line2, city, state, postal_code, country. Every error is a
// [*yamlfile.Error].
func ParsePlace(r io.Reader, name string) (Place, error) {
	var p Place
	return p, placeKeys.Read(r, name, &p, Place.check)
}

func (p Place) check() (key string, err error) {
	has := p.form()
	need := []string{"display_name", "address.line1", "address.country"}
	for countries, parts := range needed {
		if slices.Contains(strings.Fields(countries), p.Country) {
			need = append(need, parts...)
		}
	}
	for _, key := range need {
		if has.Get(formKey(key)) == "" {
			return key, fmt.Errorf("missing; Stripe wants it of a Location in %s", p.countryName())
		}
	}
	switch {
	case !countryForm.MatchString(p.Country):
		return "address.country", fmt.Errorf("%q is not two capital letters, such as US or DE", p.Country)
	case len([]rune(p.DisplayName)) > 1000:
		return "display_name", errors.New("longer than 1000 characters")
	}
	return "", nil
}

func (p Place) countryName() string {
	if p.Country == "" {
		return "any country"
	}
	return p.Country
}

// formKey spells a.b as a[b].
func formKey(key string) string {
	if root, part, ok := strings.Cut(key, "."); ok {
		return root + "[" + part + "]"
	}
	return key
}

// form is the place as Stripe takes it.
func (p Place) form() url.Values {
	v := url.Values{}
	for key, value := range map[string]string{"display_name": p.DisplayName, "phone": p.Phone, "address.line1": p.Line1, "address.line2": p.Line2,
		"address.city": p.City, "address.state": p.State, "address.postal_code": p.PostalCode, "address.country": p.Country} {
		if value != "" {
			v.Set(formKey(key), value)
		}
	}
	return v
}

// CreateLocation makes the Location of a store that is to be added. For a day the
// same place for the same store is the same Location: after a lost answer it can be
// asked for again.
func (s *Server) CreateLocation(ctx context.Context, st Store, p Place) (string, error) {
	if _, err := p.check(); err != nil {
		return "", fmt.Errorf("create location: %w", err)
	}
	have, err := readStore(queryer(ctx, s.db.r), `id = ?`, st.ID)
	switch {
	case err == nil:
		return "", fmt.Errorf("create location: store %q exists with location %s", st.ID, have.Location)
	case !isNoRows(err):
		return "", fmt.Errorf("create location: %w", err)
	}
	st.Location = "tml_new" // all else must be right before anything is made
	if st, err = s.completeStore(st); err != nil {
		return "", fmt.Errorf("create location: %w", err)
	}
	stripe, err := s.stripe(st.Mode)
	if err != nil {
		return "", fmt.Errorf("create location: %w", err)
	}
	params := p.form()
	sum := sha256.Sum256([]byte(st.ID + "\n" + st.Account + "\n" + params.Encode()))
	params.Set("metadata[storehub_store]", st.ID)
	ctx, cancel := context.WithTimeout(ctx, stripeTimeout)
	defer cancel()
	raw, err := stripe.Call(ctx, st.Account, doors.CreateLocation, "location-"+hex.EncodeToString(sum[:]), params)
	var refused *StripeError
	switch {
	case errors.As(err, &refused):
		return "", fmt.Errorf("create location: Stripe answered %d: %w", refused.Status, err)
	case err != nil:
		return "", fmt.Errorf("create location: no answer of Stripe's, so it may have been made; the same command again finds it: %w", err)
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(raw, &made); err != nil || !locationID.MatchString(made.ID) {
		return "", errors.New("create location: Stripe's answer is no Location")
	}
	return made.ID, nil
}
