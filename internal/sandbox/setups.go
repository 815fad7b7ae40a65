package sandbox

import "strings"

type setupIntent struct {
	ID                                string            `json:"id"`
	Object                            string            `json:"object"`
	AllowedPaymentMethodTypes         null              `json:"allowed_payment_method_types"`
	Application                       null              `json:"application"`
	AutomaticPaymentMethods           null              `json:"automatic_payment_methods"`
	CancellationReason                null              `json:"cancellation_reason"`
	ClientSecret                      string            `json:"client_secret"`
	Created                           int64             `json:"created"`
	Customer                          *string           `json:"customer"`
	Description                       *string           `json:"description"`
	ExcludedPaymentMethodTypes        null              `json:"excluded_payment_method_types"`
	FlowDirections                    null              `json:"flow_directions"`
	LastSetupError                    *apiError         `json:"last_setup_error"`
	LatestAttempt                     null              `json:"latest_attempt"`
	Livemode                          bool              `json:"livemode"`
	Mandate                           null              `json:"mandate"`
	Metadata                          map[string]string `json:"metadata"`
	NextAction                        null              `json:"next_action"`
	OnBehalfOf                        null              `json:"on_behalf_of"`
	PaymentMethod                     *string           `json:"payment_method"`
	PaymentMethodConfigurationDetails null              `json:"payment_method_configuration_details"`
	PaymentMethodOptions              struct{}          `json:"payment_method_options"`
	PaymentMethodTypes                []string          `json:"payment_method_types"`
	SingleUseMandate                  null              `json:"single_use_mandate"`
	Status                            string            `json:"status"`
	Usage                             string            `json:"usage"`
}

func (si *setupIntent) ident() string { return si.ID }

func (s *Sandbox) createSetup(c *call) (any, *apiError) {
	si := &setupIntent{Object: "setup_intent", Livemode: s.live, Status: statusRequiresPaymentMethod, PaymentMethodTypes: []string{"card"},
		Customer: optional(c.text("customer")), Description: optional(c.text("description")), Metadata: c.metadata(nil),
		Usage: firstOf(c.oneOf("usage", "off_session", "on_session"), "off_session")}
	if types := c.texts("payment_method_types"); types != nil {
		si.PaymentMethodTypes = types
	}
	if e := c.begin(); e != nil {
		return nil, e
	}
	si.ID, si.Created = s.id("seti_1", 23), s.now().Unix()
	si.ClientSecret = si.ID + "_secret_" + s.random(25)
	s.st.SetupIntents.add(si)
	s.emit(c, "setup_intent.created", si)
	return si, nil
}

func (s *Sandbox) getSetup(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	si, ok := s.st.SetupIntents.get(c.ids[0])
	if !ok {
		return nil, noSuch("setupintent", c.ids[0], "")
	}
	return si, nil
}

// saveCard ends the process_setup_intent action of a reader.
func (s *Sandbox) saveCard(c *call, a *action, number string) *apiError {
	si, _ := s.st.SetupIntents.get(a.ProcessSetupIntent.SetupIntent)
	if code := testCards[number].declined; code != "" {
		si.LastSetupError = declineError(code)
		s.emit(c, "setup_intent.setup_failed", si)
		return si.LastSetupError
	}
	pm := &paymentMethod{ID: s.id("pm_1", 23), Object: "payment_method", Livemode: s.live, Created: s.now().Unix(), Customer: si.Customer,
		Metadata: map[string]string{}, Type: "card_present", AllowRedisplay: "unspecified",
		CardPresent: presentCard(number, s.now().Year()+3)}
	s.st.PaymentMethods.add(pm)
	generated := *pm
	generated.ID, generated.Type = s.id("pm_1", 23), "card"
	generated.Card, generated.CardPresent = pm.CardPresent, nil
	s.st.PaymentMethods.add(&generated)
	si.Status, si.PaymentMethod, a.ProcessSetupIntent.GeneratedCard = statusSucceeded, &pm.ID, &generated.ID
	s.emit(c, "setup_intent.succeeded", si)
	return nil
}

type paymentMethod struct {
	ID              string            `json:"id"`
	Object          string            `json:"object"`
	AllowRedisplay  string            `json:"allow_redisplay"`
	BillingDetails  billingDetails    `json:"billing_details"`
	Card            *methodCard       `json:"card,omitempty"`
	CardPresent     *methodCard       `json:"card_present,omitempty"`
	InteracPresent  *methodCard       `json:"interac_present,omitempty"`
	Created         int64             `json:"created"`
	Customer        *string           `json:"customer"`
	CustomerAccount null              `json:"customer_account"`
	Livemode        bool              `json:"livemode"`
	Metadata        map[string]string `json:"metadata"`
	Type            string            `json:"type"`
}

// methodCard is what a payment method tells of its card.
type methodCard struct {
	Brand    string `json:"brand"`
	Country  string `json:"country"`
	ExpMonth int    `json:"exp_month"`
	ExpYear  int    `json:"exp_year"`
	Funding  string `json:"funding"`
	Last4    string `json:"last4"`
}

func (pm *paymentMethod) ident() string { return pm.ID }

func presentCard(number string, year int) *methodCard {
	card := testCards[number]
	return &methodCard{Brand: card.brand, Country: "US", ExpMonth: 12, ExpYear: year, Funding: card.funding, Last4: lastFour(number)}
}

// newPaymentMethod is the method of a charge.
func newPaymentMethod(ch *chargeRecord) *paymentMethod {
	pm := &paymentMethod{ID: ch.PaymentMethod, Object: "payment_method", Livemode: ch.Livemode, AllowRedisplay: "unspecified", Created: ch.Created,
		Metadata: map[string]string{}, Type: ch.PaymentMethodDetails.Type}
	card := presentCard(ch.Number, ch.PaymentMethodDetails.card().ExpYear)
	if pm.Type == "card_present" {
		pm.CardPresent = card
	} else {
		pm.InteracPresent = card
	}
	return pm
}

func (s *Sandbox) needMethod(c *call) (*paymentMethod, *apiError) {
	pm, ok := s.st.PaymentMethods.get(c.ids[0])
	if !ok {
		return nil, noSuch("PaymentMethod", c.ids[0], "")
	}
	return pm, nil
}

func (s *Sandbox) getMethod(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	pm, e := s.needMethod(c)
	if e != nil {
		return nil, e
	}
	return pm, nil
}

func (s *Sandbox) attachMethod(c *call) (any, *apiError) {
	id := c.need("customer")
	if e := c.begin(); e != nil {
		return nil, e
	}
	pm, e := s.needMethod(c)
	if e != nil {
		return nil, e
	}
	if _, ok := s.st.Customers.get(id); !ok {
		return nil, noSuch("customer", id, "customer")
	}
	if pm.Type != "card" {
		return nil, invalid("", "payment_method", "A PaymentMethod of type "+pm.Type+" cannot be attached to a customer: attach the generated card.")
	}
	pm.Customer = &id
	s.emit(c, "payment_method.attached", pm)
	return pm, nil
}

type customer struct {
	ID                  string            `json:"id"`
	Object              string            `json:"object"`
	Address             null              `json:"address"`
	Balance             int64             `json:"balance"`
	Created             int64             `json:"created"`
	Currency            null              `json:"currency"`
	DefaultSource       null              `json:"default_source"`
	Delinquent          bool              `json:"delinquent"`
	Description         *string           `json:"description"`
	Discount            null              `json:"discount"`
	Email               *string           `json:"email"`
	InvoicePrefix       string            `json:"invoice_prefix"`
	InvoiceSettings     invoiceSettings   `json:"invoice_settings"`
	Livemode            bool              `json:"livemode"`
	Metadata            map[string]string `json:"metadata"`
	Name                *string           `json:"name"`
	NextInvoiceSequence int64             `json:"next_invoice_sequence"`
	Phone               *string           `json:"phone"`
	PreferredLocales    []string          `json:"preferred_locales"`
	Shipping            null              `json:"shipping"`
	TaxExempt           string            `json:"tax_exempt"`
	TestClock           null              `json:"test_clock"`
}

type invoiceSettings struct {
	CustomFields         null `json:"custom_fields"`
	DefaultPaymentMethod null `json:"default_payment_method"`
	Footer               null `json:"footer"`
	RenderingOptions     null `json:"rendering_options"`
}

func (cu *customer) ident() string { return cu.ID }

func (s *Sandbox) createCustomer(c *call) (any, *apiError) {
	cu := &customer{Object: "customer", Livemode: s.live, Email: optional(c.text("email")), Name: optional(c.text("name")),
		Description: optional(c.text("description")), Phone: optional(c.text("phone")), Metadata: c.metadata(nil),
		NextInvoiceSequence: 1, PreferredLocales: []string{}, TaxExempt: "none"}
	if e := c.begin(); e != nil {
		return nil, e
	}
	cu.ID, cu.Created, cu.InvoicePrefix = s.id("cus_", 14), s.now().Unix(), strings.ToUpper(s.random(8))
	s.st.Customers.add(cu)
	s.emit(c, "customer.created", cu)
	return cu, nil
}

func (s *Sandbox) listCustomers(c *call) (any, *apiError) {
	email, when := c.text("email"), c.created()
	return page(c, "customer", &s.st.Customers,
		func(cu *customer) bool {
			return (email == "" || cu.Email != nil && *cu.Email == email) && when(cu.Created)
		},
		func(cu *customer) any { return cu })
}

func (s *Sandbox) getCustomer(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	cu, ok := s.st.Customers.get(c.ids[0])
	if !ok {
		return nil, noSuch("customer", c.ids[0], "")
	}
	return cu, nil
}
