package hq

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"storehub/doors"
)

// callRule is one passed-through call: who may make it and with which parameters.
type callRule struct {
	manager  bool     // not for scope pos
	testOnly bool     // off in live mode (money.md 1.5)
	reads    bool     // changes nothing: what changes something goes first
	keyed    bool     // needs an Idempotency-Key and is recorded before it is made
	need     []string // parameters that must be there
	may      []string // others that are passed on; a final [] stands for any subkeys
	defaults map[string][]string
	check    func(ctx context.Context, s *Server, c *call) error
	after    func(ctx context.Context, s *Server, c *call, raw json.RawMessage) (json.RawMessage, error)
}

// call is one passed-through call on its way.
type call struct {
	name   doors.Call
	rule   callRule
	st     record
	till   doors.Till
	stripe Stripe
	params url.Values
}

// diverting are parameters that would send money or guilt elsewhere. They are
// refused rather than dropped: the payment would not be what the app meant.
var diverting = []string{"transfer_data", "on_behalf_of", "application_fee_amount", "transfer_group", "customer"}

var callRules = map[doors.Call]callRule{
	doors.CreatePaymentIntent: {
		need: []string{"amount"},
		may: []string{"currency", "description", "capture_method", "payment_method_types[]",
			"payment_method_options[card_present][]", "receipt_email", "metadata[]"},
		defaults: map[string][]string{"currency": {"usd"}, "description": {"Example PaymentIntent"},
			"capture_method": {"manual"}, "payment_method_types[]": {"card_present"}},
		check: checkCreate, after: keepCreated,
	},
	doors.RetrievePaymentIntent: {reads: true, need: []string{"payment_intent"}, may: []string{"expand[]"}, check: checkOwnIntent},
	doors.UpdatePaymentIntent:   {need: []string{"payment_intent"}, may: []string{"receipt_email"}, check: checkOwnIntent},
	doors.CreateSetupIntent: {
		may:      []string{"description", "payment_method_types[]", "metadata[]"},
		defaults: map[string][]string{"payment_method_types[]": {"card_present"}},
		check:    checkMetadata,
	},
	doors.AttachPaymentMethod: {testOnly: true, need: []string{"payment_method"}},
	doors.CreateLocation: {manager: true, testOnly: true, need: []string{"display_name", "address[country]"},
		may: []string{"address[]", "phone", "metadata[]"}, after: keepLocation},
	doors.ListLocations:        {reads: true, check: fillLocations},
	doors.RegisterReader:       {manager: true, need: []string{"registration_code"}, may: []string{"label", "metadata[]"}, check: fillLocation},
	doors.RetrieveReader:       {reads: true, need: []string{"reader"}, check: checkOwnReader},
	doors.ListReaders:          {reads: true, check: fillLocation},
	doors.ProcessPaymentIntent: {keyed: true, need: []string{"reader", "payment_intent"}, may: []string{"process_config[]"}, check: checkAction},
	doors.CancelAction:         {need: []string{"reader"}, check: checkCancel},
	doors.RefundPayment:        {keyed: true, need: []string{"reader", "payment_intent"}, may: []string{"amount", "metadata[]"}, check: checkAction},
	doors.SetReaderDisplay:     {need: []string{"reader", "type"}, may: []string{"cart[]"}, check: checkOwnReader},
	doors.PresentPaymentMethod: {testOnly: true, need: []string{"reader"},
		may: []string{"type", "card_present[]", "interac_present[]", "card[]", "amount_tip"}, check: checkOwnReader},
}

// filter keeps what the rule knows, adds its defaults and drops the rest, as the
// reference backend does.
func (r callRule) filter(in url.Values) (url.Values, error) {
	out := url.Values{}
	for k, vs := range in {
		root, _, _ := strings.Cut(k, "[")
		if slices.Contains(diverting, root) && strings.Join(vs, "") != "" {
			return nil, doors.ErrInvalidField.With("%s is not allowed here", root)
		}
		if !r.knows(k) {
			continue
		}
		vs = slices.DeleteFunc(slices.Clone(vs), func(v string) bool { return v == "" })
		if strings.HasSuffix(k, "[]") {
			slices.Sort(vs)
			vs = slices.Compact(vs) // an app sends card_present twice, Stripe refuses it
		}
		if len(vs) > 0 {
			out[k] = vs
		}
	}
	for k, vs := range r.defaults {
		if _, ok := out[k]; !ok {
			out[k] = vs
		}
	}
	for _, k := range r.need {
		if out.Get(k) == "" {
			return nil, doors.ErrMissingField.With("%s is missing", k)
		}
	}
	return out, nil
}

func (r callRule) knows(key string) bool {
	if slices.Contains(r.need, key) || slices.Contains(r.may, key) {
		return true
	}
	return slices.ContainsFunc(r.may, func(m string) bool {
		prefix, open := strings.CutSuffix(m, "[]")
		return open && strings.HasPrefix(key, prefix+"[")
	})
}

var (
	intentForm = regexp.MustCompile(`^pi_[A-Za-z0-9_]{1,250}$`)
	readerForm = regexp.MustCompile(`^tmr_[A-Za-z0-9_]{1,250}$`)
)

func checkCreate(ctx context.Context, s *Server, c *call) error {
	amount, err := doors.ParseAmount(c.params.Get("amount"))
	if err != nil {
		return err
	}
	if err := doors.CheckAmount(amount); err != nil {
		return err
	}
	cur := strings.ToLower(c.params.Get("currency"))
	if err := doors.CheckCurrency(cur); err != nil {
		return err
	}
	c.params.Set("currency", cur)
	for _, m := range c.params["payment_method_types[]"] {
		if m != "card_present" && m != "interac_present" {
			return doors.ErrInvalidField.With("payment_method_types may be card_present and interac_present")
		}
	}
	if err := checkMetadata(ctx, s, c); err != nil {
		return err
	}
	c.params.Set("metadata[storehub_store]", c.st.ID)
	return nil
}

// checkMetadata keeps our own names from being forged; storehub_ref is the
// app's, to find an offline payment again.
func checkMetadata(_ context.Context, _ *Server, c *call) error {
	for k := range c.params {
		if strings.HasPrefix(k, "metadata[storehub_") && k != "metadata[storehub_ref]" {
			return doors.ErrInvalidField.With("%s is reserved", k)
		}
	}
	return nil
}

// keepCreated remembers whose the intent is before the till hears of it.
func keepCreated(ctx context.Context, s *Server, c *call, raw json.RawMessage) (json.RawMessage, error) {
	id, err := idOf(raw)
	if err != nil {
		return nil, err
	}
	return raw, s.db.tx(ctx, func(t *tx) error {
		if err := s.db.fault("call:intent"); err != nil {
			return err
		}
		return t.keepIntent(intent{id: id, store: c.st.ID, account: c.st.Account, mode: c.st.Mode,
			ref: c.params.Get("metadata[storehub_ref]"), till: c.till.Name})
	})
}

func keepLocation(ctx context.Context, s *Server, c *call, raw json.RawMessage) (json.RawMessage, error) {
	id, err := idOf(raw)
	if err != nil {
		return nil, err
	}
	return raw, s.db.tx(ctx, func(t *tx) error {
		_, err := t.Exec(`INSERT INTO locations VALUES (?, ?, 'made') ON CONFLICT DO NOTHING`, c.st.ID, id)
		return err
	})
}

func idOf(raw json.RawMessage) (string, error) {
	var o struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(raw, &o); err != nil || o.ID == "" {
		return "", doors.ErrStripeSilent.With("Stripe's answer has no id")
	}
	return o.ID, nil
}

func checkOwnIntent(ctx context.Context, s *Server, c *call) error {
	_, err := s.ownIntent(ctx, c)
	return err
}

// ownIntent refuses intents that are not proved to be the store's.
func (s *Server) ownIntent(ctx context.Context, c *call) (*Intent, error) {
	id := c.params.Get("payment_intent")
	if !intentForm.MatchString(id) || strings.Contains(id, "_secret") {
		return nil, doors.ErrInvalidField.With("payment_intent must be a pi_…")
	}
	owner, err := s.db.intentOwner(ctx, id)
	if err != nil {
		return nil, err
	}
	if owner == c.st.ID {
		return nil, nil
	}
	if owner != "" {
		return nil, doors.ErrNotYourPayment
	}
	in, err := c.stripe.Intent(ctx, c.st.Account, id)
	s.heard(ctx, c.st.Mode, "intent", err)
	if err != nil {
		return nil, refusalFrom(err)
	}
	own, err := s.owns(ctx, c.st.ID, in)
	if err == nil && own != ours {
		err = doors.ErrNotYourPayment
	}
	return &in, err
}

func fillLocation(_ context.Context, _ *Server, c *call) error {
	c.params.Set("location", c.st.Location)
	return nil
}

// fillLocations lists the store's own Locations and those made by its tills: a
// till has no business with another shop's.
func fillLocations(ctx context.Context, s *Server, c *call) error {
	ids, err := s.db.strings(ctx, `SELECT id FROM locations WHERE store = ? AND role IN ('present', 'made') ORDER BY role = 'made', id`, c.st.ID)
	c.params["location"] = ids
	return err
}

func checkOwnReader(ctx context.Context, s *Server, c *call) error {
	id := c.params.Get("reader")
	if !readerForm.MatchString(id) {
		return doors.ErrInvalidField.With("reader must be a tmr_…")
	}
	loc, err := s.readerLocation(ctx, c.st, c.stripe, id)
	if err != nil {
		return refusalFrom(err)
	}
	if loc != c.st.Location {
		return doors.ErrNotFound.With("there is no reader %q at this store", id)
	}
	return nil
}

func checkAction(ctx context.Context, s *Server, c *call) error {
	var amount *int64
	if a := c.params.Get("amount"); a != "" {
		n, err := doors.ParseAmount(a)
		if err != nil {
			return err
		}
		amount = &n
	}
	if c.name == doors.RefundPayment {
		if err := doors.MayRefund(c.till, amount, c.st.RefundLimit); err != nil {
			return err
		}
	}
	if err := checkMetadata(ctx, s, c); err != nil {
		return err
	}
	if err := checkOwnReader(ctx, s, c); err != nil {
		return err
	}
	_, err := s.ownIntent(ctx, c)
	return err
}
