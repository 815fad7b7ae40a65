package sandbox

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// The statuses of an intent that the sandbox knows. It confirms and settles in
// one step, so that processing, requires_confirmation and requires_action are
// never seen from outside.
const (
	statusRequiresPaymentMethod = "requires_payment_method"
	statusRequiresCapture       = "requires_capture"
	statusSucceeded             = "succeeded"
	statusCanceled              = "canceled"
)

type intent struct {
	ID                                string            `json:"id"`
	Object                            string            `json:"object"`
	AllowedPaymentMethodTypes         null              `json:"allowed_payment_method_types"`
	Amount                            int64             `json:"amount"`
	AmountCapturable                  int64             `json:"amount_capturable"`
	AmountDetails                     amountDetails     `json:"amount_details"`
	AmountReceived                    int64             `json:"amount_received"`
	Application                       null              `json:"application"`
	ApplicationFeeAmount              null              `json:"application_fee_amount"`
	AutomaticPaymentMethods           null              `json:"automatic_payment_methods"`
	CanceledAt                        *int64            `json:"canceled_at"`
	CancellationReason                *string           `json:"cancellation_reason"`
	CaptureMethod                     string            `json:"capture_method"`
	ClientSecret                      string            `json:"client_secret"`
	ConfirmationMethod                string            `json:"confirmation_method"`
	Created                           int64             `json:"created"`
	Currency                          string            `json:"currency"`
	Customer                          *string           `json:"customer"`
	CustomerAccount                   null              `json:"customer_account"`
	Description                       *string           `json:"description"`
	ExcludedPaymentMethodTypes        null              `json:"excluded_payment_method_types"`
	LastPaymentError                  *apiError         `json:"last_payment_error"`
	LatestCharge                      *string           `json:"latest_charge"`
	Livemode                          bool              `json:"livemode"`
	ManagedPayments                   enabled           `json:"managed_payments"`
	Metadata                          map[string]string `json:"metadata"`
	NextAction                        null              `json:"next_action"`
	OnBehalfOf                        null              `json:"on_behalf_of"`
	PaymentMethod                     *string           `json:"payment_method"`
	PaymentMethodConfigurationDetails null              `json:"payment_method_configuration_details"`
	PaymentMethodOptions              intentOptions     `json:"payment_method_options"`
	PaymentMethodTypes                []string          `json:"payment_method_types"`
	Processing                        null              `json:"processing"`
	ReceiptEmail                      *string           `json:"receipt_email"`
	Review                            null              `json:"review"`
	SetupFutureUsage                  *string           `json:"setup_future_usage"`
	Shipping                          null              `json:"shipping"`
	Source                            null              `json:"source"`
	StatementDescriptor               *string           `json:"statement_descriptor"`
	StatementDescriptorSuffix         *string           `json:"statement_descriptor_suffix"`
	Status                            string            `json:"status"`
	TransferData                      null              `json:"transfer_data"`
	TransferGroup                     *string           `json:"transfer_group"`
}

type amountDetails struct {
	Tip tip `json:"tip"`
}

type tip struct {
	Amount int64 `json:"amount,omitempty"`
}

type intentOptions struct {
	CardPresent *cardPresentOptions `json:"card_present,omitempty"`
}

type cardPresentOptions struct {
	CaptureMethod                          string `json:"capture_method,omitempty"`
	RequestExtendedAuthorization           bool   `json:"request_extended_authorization"`
	RequestIncrementalAuthorizationSupport bool   `json:"request_incremental_authorization_support"`
}

// intentRecord is an intent and when search will have heard of its metadata.
type intentRecord struct {
	intent
	Changed time.Time `json:"_changed"`
}

func (in *intentRecord) ident() string { return in.ID }

// wire is the intent as it goes out; no version of it differs.
func (in *intentRecord) wire(string) any { return in.intent }

// takes says whether the intent may be paid by a method, and by which capture.
func (in *intentRecord) takes(method string) bool {
	return slices.Contains(in.PaymentMethodTypes, method)
}

// asksManual says whether authorisation and capture are two steps for a method.
func (in *intentRecord) asksManual(method string) bool {
	if o := in.PaymentMethodOptions.CardPresent; o != nil && o.CaptureMethod != "" && method == "card_present" {
		return true
	}
	return in.CaptureMethod == "manual"
}

var methodTypes = []string{"card", "card_present", "interac_present", "affirm", "klarna", "link", "paynow", "wechat_pay", "alipay", "us_bank_account"}

// minimum is the least amount that Stripe takes in a currency.
func minimum(currency string) int64 {
	if n, ok := map[string]int64{"gbp": 30, "dkk": 250, "nok": 300, "sek": 300, "mxn": 1000, "hkd": 400, "czk": 1500}[currency]; ok {
		return n
	}
	return 50
}

// currencies are those of Terminal, and some that tests want.
var currencies = strings.Fields("aed aud bgn cad chf clp cny czk dkk eur gbp gip hkd huf idr inr jpy krw kwd mxn myr nok nzd php pln ron sek sgd thb usd vnd zar")

// readIntent takes what was sent over in.
func (c *call) readIntent(in *intentRecord) {
	if n := c.amount("amount"); n != nil {
		in.Amount = *n
	}
	if c.given("currency") {
		in.Currency = strings.ToLower(c.need("currency"))
		if !slices.Contains(currencies, in.Currency) {
			c.fail(invalid("", "currency", "Invalid currency: "+in.Currency+"."))
		}
	}
	if c.given("amount") && c.err == nil && in.Amount < minimum(in.Currency) {
		c.fail(invalid("amount_too_small", "amount", "Amount must be at least "+strconv.FormatInt(minimum(in.Currency), 10)+"."))
	}
	for _, f := range []struct {
		name string
		to   **string
	}{
		{"description", &in.Description}, {"receipt_email", &in.ReceiptEmail}, {"customer", &in.Customer},
		{"statement_descriptor", &in.StatementDescriptor}, {"statement_descriptor_suffix", &in.StatementDescriptorSuffix},
		{"transfer_group", &in.TransferGroup}, {"setup_future_usage", &in.SetupFutureUsage},
	} {
		if c.given(f.name) {
			*f.to = optional(c.text(f.name))
		}
	}
	c.checkEmail(in.ReceiptEmail)
	if m := c.oneOf("capture_method", "automatic", "automatic_async", "manual"); m != "" {
		in.CaptureMethod = m
	}
	if types := c.texts("payment_method_types"); types != nil {
		in.PaymentMethodTypes = types
		for _, t := range types {
			if !slices.Contains(methodTypes, t) {
				c.fail(invalid("", "payment_method_types", "The payment method type "+strconv.Quote(t)+" is invalid."))
			}
		}
	}
	c.readOptions(in)
	if meta := c.metadata(in.Metadata); c.given("metadata") || in.Metadata == nil {
		in.Metadata, in.Changed = meta, c.s.now()
	}
}

func (c *call) readOptions(in *intentRecord) {
	const at = "payment_method_options"
	h := c.hash(at, "card_present", "interac_present")
	f, ok := h["card_present"]
	if !ok {
		return
	}
	sub := c.hashOf(f, at+"[card_present]", "capture_method", "request_extended_authorization",
		"request_incremental_authorization_support", "routing")
	o := &cardPresentOptions{}
	if f, ok := sub["capture_method"]; ok {
		o.CaptureMethod = c.textOf(f, at+"[card_present][capture_method]")
		if !slices.Contains([]string{"", "manual", "manual_preferred"}, o.CaptureMethod) {
			c.fail(invalid("", at+"[card_present][capture_method]", "Invalid capture_method: must be manual or manual_preferred"))
		}
	}
	for name, to := range map[string]*bool{
		"request_extended_authorization":            &o.RequestExtendedAuthorization,
		"request_incremental_authorization_support": &o.RequestIncrementalAuthorizationSupport,
	} {
		if f, ok := sub[name]; ok {
			v := c.flagOf(f, at+"[card_present]["+name+"]")
			*to = v != nil && *v
		}
	}
	in.PaymentMethodOptions.CardPresent = o
}

func (s *Sandbox) createIntent(c *call) (any, *apiError) {
	in := &intentRecord{intent: intent{
		Object: "payment_intent", Livemode: s.live, CaptureMethod: "automatic", ConfirmationMethod: "automatic",
		PaymentMethodTypes: []string{"card"}, Status: statusRequiresPaymentMethod,
	}}
	for _, name := range []string{"amount", "currency"} {
		if !c.given(name) {
			c.fail(missing(name))
		}
	}
	c.readIntent(in)
	if e := c.begin(); e != nil {
		return nil, e
	}
	in.ID, in.Created, in.Changed = s.id("pi_3", 23), s.now().Unix(), s.now()
	in.ClientSecret = in.ID + "_secret_" + s.random(25)
	s.st.Intents.add(in)
	s.emit(c, "payment_intent.created", in.wire(accountVersion))
	return in.wire(c.version), nil
}

// checkEmail refuses an address for a receipt that has no domain with a dot.
func (c *call) checkEmail(to *string) {
	if to == nil {
		return
	}
	if _, domain, _ := strings.Cut(*to, "@"); !strings.Contains(domain, ".") {
		c.fail(invalid("email_invalid", "receipt_email", "Invalid email address: "+*to))
	}
}

// needIntent finds the intent in the call's path.
func (s *Sandbox) needIntent(c *call) (*intentRecord, *apiError) {
	in, ok := s.st.Intents.get(c.ids[0])
	if !ok {
		e := noSuch("payment_intent", c.ids[0], "")
		if s.other != nil && s.other(c.ids[0]) {
			there, here := "live", "test"
			if s.live {
				there, here = here, there
			}
			e.Message += "; a similar object exists in " + there + " mode, but a " + here + " mode key was used to make this request."
		}
		return nil, e
	}
	return in, nil
}

// HasIntent reports whether the account has that PaymentIntent in this mode.
func (s *Sandbox) HasIntent(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.st.Intents.get(id)
	return ok
}

func (s *Sandbox) getIntent(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	in, e := s.needIntent(c)
	if e != nil {
		return nil, e
	}
	return in.wire(c.version), nil
}

func (s *Sandbox) updateIntent(c *call) (any, *apiError) {
	old, e := s.needIntent(c)
	if e != nil {
		return nil, e
	}
	in := *old
	c.readIntent(&in)
	if e := c.begin(); e != nil {
		return nil, e
	}
	if in.Status != statusRequiresPaymentMethod {
		for _, name := range []string{"amount", "currency", "capture_method", "payment_method_types", "payment_method_options", "customer"} {
			if c.given(name) {
				return nil, unexpectedState(old, c.version, "updated", statusRequiresPaymentMethod)
			}
		}
	}
	*old = in
	return old.wire(c.version), nil
}

func (s *Sandbox) listIntents(c *call) (any, *apiError) {
	customer, when := c.text("customer"), c.created()
	return page(c, "payment_intent", &s.st.Intents,
		func(in *intentRecord) bool {
			return when(in.Created) && (customer == "" || in.Customer != nil && *in.Customer == customer)
		},
		func(in *intentRecord) any { return in.wire(c.version) })
}

func (s *Sandbox) captureIntent(c *call) (any, *apiError) {
	asked := c.amount("amount_to_capture")
	if final := c.flag("final_capture"); final != nil && !*final {
		c.fail(invalid("", "final_capture", "Capturing in several steps is not available to this account."))
	}
	var meta map[string]string
	in, missing := s.needIntent(c)
	if missing == nil {
		meta = c.metadata(in.Metadata)
	}
	if e := c.begin(); e != nil {
		return nil, e
	}
	if missing != nil {
		return nil, missing
	}
	ch := s.chargeOf(in)
	if in.Status == statusSucceeded {
		e := unexpectedState(in, c.version, "captured", statusRequiresCapture)
		e.Message = "This PaymentIntent could not be captured because it has already been captured."
		return nil, e
	}
	if in.Status != statusRequiresCapture {
		return nil, unexpectedState(in, c.version, "captured", statusRequiresCapture)
	}
	amount := in.AmountCapturable
	if asked != nil {
		amount = *asked
	}
	if amount > in.AmountCapturable {
		e := invalid("amount_too_large", "amount_to_capture", "The amount to capture is greater than the amount that was authorised.")
		e.PaymentIntent = in.wire(c.version)
		return nil, e
	}
	if c.given("metadata") {
		in.Metadata, in.Changed = meta, s.now()
	}
	s.settleCapture(c, in, ch, amount)
	s.emit(c, "charge.captured", ch.wire(accountVersion))
	s.emit(c, "payment_intent.succeeded", in.wire(accountVersion))
	return in.wire(c.version), nil
}

// settleCapture moves the money. What is authorised and not captured shows as
// refunded on the charge, without a refund object.
func (s *Sandbox) settleCapture(c *call, in *intentRecord, ch *chargeRecord, amount int64) {
	in.Status, in.AmountReceived, in.AmountCapturable = statusSucceeded, amount, 0
	ch.Captured, ch.AmountCaptured, ch.AmountRefunded = true, amount, ch.Amount-amount
	balance := s.id("txn_3", 23)
	ch.BalanceTransaction = &balance
	s.enter(in.ID, EffectCaptured, amount, c)
}

func (s *Sandbox) cancelIntent(c *call) (any, *apiError) {
	reason := c.oneOf("cancellation_reason", "duplicate", "fraudulent", "requested_by_customer", "abandoned")
	if e := c.begin(); e != nil {
		return nil, e
	}
	in, e := s.needIntent(c)
	if e != nil {
		return nil, e
	}
	if in.Status != statusRequiresPaymentMethod && in.Status != statusRequiresCapture {
		return nil, unexpectedState(in, c.version, "canceled",
			"requires_payment_method, requires_capture, requires_confirmation, requires_action, processing")
	}
	held := in.AmountCapturable
	s.endIntent(in, reason)
	s.enter(in.ID, EffectCanceled, held, c)
	if ch := s.chargeOf(in); held > 0 && ch != nil {
		ch.AmountRefunded, ch.Refunded = ch.Amount, true
		s.emit(c, "charge.refunded", ch.wire(accountVersion))
	}
	s.emit(c, "payment_intent.canceled", in.wire(accountVersion))
	return in.wire(c.version), nil
}

func (s *Sandbox) endIntent(in *intentRecord, reason string) {
	now := s.now().Unix()
	in.Status, in.CanceledAt, in.CancellationReason, in.AmountCapturable = statusCanceled, &now, optional(reason), 0
}

// lapse ends an authorisation that nobody captured in time.
func (s *Sandbox) lapse(in *intentRecord, ch *chargeRecord) {
	held := in.AmountCapturable
	s.endIntent(in, "automatic")
	ch.AmountRefunded, ch.Refunded = ch.Amount, true
	s.enter(in.ID, EffectExpired, held, nil)
	s.emit(nil, "charge.expired", ch.wire(accountVersion))
	s.emit(nil, "payment_intent.canceled", in.wire(accountVersion))
}
