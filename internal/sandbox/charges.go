package sandbox

import "time"

// authorisationLife is how long an authorisation can be captured: the shortest
// that Stripe names for payments in person. What copes with it copes with all.
const authorisationLife = 48 * time.Hour

type charge struct {
	ID                            string            `json:"id"`
	Object                        string            `json:"object"`
	Amount                        int64             `json:"amount"`
	AmountCaptured                int64             `json:"amount_captured"`
	AmountRefunded                int64             `json:"amount_refunded"`
	Application                   null              `json:"application"`
	ApplicationFee                null              `json:"application_fee"`
	ApplicationFeeAmount          null              `json:"application_fee_amount"`
	BalanceTransaction            *string           `json:"balance_transaction"`
	BillingDetails                billingDetails    `json:"billing_details"`
	CalculatedStatementDescriptor *string           `json:"calculated_statement_descriptor"`
	Captured                      bool              `json:"captured"`
	Created                       int64             `json:"created"`
	Currency                      string            `json:"currency"`
	Customer                      *string           `json:"customer"`
	Description                   *string           `json:"description"`
	Disputed                      bool              `json:"disputed"`
	FailureBalanceTransaction     null              `json:"failure_balance_transaction"`
	FailureCode                   *string           `json:"failure_code"`
	FailureMessage                *string           `json:"failure_message"`
	FraudDetails                  struct{}          `json:"fraud_details"`
	Livemode                      bool              `json:"livemode"`
	Metadata                      map[string]string `json:"metadata"`
	OnBehalfOf                    null              `json:"on_behalf_of"`
	Outcome                       outcome           `json:"outcome"`
	Paid                          bool              `json:"paid"`
	PaymentIntent                 string            `json:"payment_intent"`
	PaymentMethod                 string            `json:"payment_method"`
	PaymentMethodDetails          methodDetails     `json:"payment_method_details"`
	ReceiptEmail                  *string           `json:"receipt_email"`
	ReceiptNumber                 null              `json:"receipt_number"`
	ReceiptURL                    *string           `json:"receipt_url"`
	Refunded                      bool              `json:"refunded"`
	Review                        null              `json:"review"`
	Shipping                      null              `json:"shipping"`
	Source                        null              `json:"source"`
	SourceTransfer                null              `json:"source_transfer"`
	StatementDescriptor           *string           `json:"statement_descriptor"`
	StatementDescriptorSuffix     *string           `json:"statement_descriptor_suffix"`
	Status                        string            `json:"status"`
	TransferData                  null              `json:"transfer_data"`
	TransferGroup                 *string           `json:"transfer_group"`
}

type billingDetails struct {
	Address address `json:"address"`
	Email   *string `json:"email"`
	Name    *string `json:"name"`
	Phone   *string `json:"phone"`
	TaxID   null    `json:"tax_id"`
}

type outcome struct {
	AdviceCode         *string `json:"advice_code"`
	NetworkAdviceCode  null    `json:"network_advice_code"`
	NetworkDeclineCode null    `json:"network_decline_code"`
	NetworkStatus      string  `json:"network_status"`
	Reason             *string `json:"reason"`
	SellerMessage      string  `json:"seller_message"`
	Type               string  `json:"type"`
}

type methodDetails struct {
	Type           string       `json:"type"`
	CardPresent    *cardDetails `json:"card_present,omitempty"`
	InteracPresent *cardDetails `json:"interac_present,omitempty"`
}

// details are those of the card, by whatever method it was read.
func (d methodDetails) card() *cardDetails {
	if d.CardPresent != nil {
		return d.CardPresent
	}
	return d.InteracPresent
}

type cardDetails struct {
	AmountAuthorized                  *int64       `json:"amount_authorized,omitempty"`
	Brand                             string       `json:"brand"`
	BrandProduct                      null         `json:"brand_product"`
	CaptureBefore                     int64        `json:"capture_before,omitempty"`
	CardholderName                    null         `json:"cardholder_name"`
	Country                           string       `json:"country"`
	Description                       null         `json:"description"`
	EMVAuthData                       null         `json:"emv_auth_data"`
	ExpMonth                          int          `json:"exp_month"`
	ExpYear                           int          `json:"exp_year"`
	Fingerprint                       string       `json:"fingerprint"`
	Funding                           string       `json:"funding"`
	GeneratedCard                     null         `json:"generated_card"`
	IncrementalAuthorizationSupported bool         `json:"incremental_authorization_supported"`
	Issuer                            null         `json:"issuer"`
	Last4                             string       `json:"last4"`
	Location                          *string      `json:"location,omitempty"`
	Network                           string       `json:"network"`
	NetworkTransactionID              string       `json:"network_transaction_id"`
	Offline                           *offlineNote `json:"offline"`
	OvercaptureSupported              bool         `json:"overcapture_supported"`
	PreferredLocales                  []string     `json:"preferred_locales"`
	ReadMethod                        string       `json:"read_method"`
	Reader                            *string      `json:"reader,omitempty"`
	Receipt                           receipt      `json:"receipt"`
	Wallet                            null         `json:"wallet"`
}

type offlineNote struct {
	StoredAt *int64  `json:"stored_at"`
	Type     *string `json:"type"`
}

type receipt struct {
	AccountType                  string `json:"account_type"`
	ApplicationCryptogram        string `json:"application_cryptogram"`
	ApplicationPreferredName     string `json:"application_preferred_name"`
	AuthorizationCode            string `json:"authorization_code"`
	AuthorizationResponseCode    string `json:"authorization_response_code"`
	CardholderVerificationMethod string `json:"cardholder_verification_method"`
	DedicatedFileName            string `json:"dedicated_file_name"`
	TerminalVerificationResults  string `json:"terminal_verification_results"`
	TransactionStatusInformation string `json:"transaction_status_information"`
}

// chargeRecord is a charge and what Stripe knows of its card.
type chargeRecord struct {
	charge
	Number string `json:"_number"` // one of Stripe's published test numbers
}

func (ch *chargeRecord) ident() string { return ch.ID }

// wire is the charge as a version of the API tells it.
func (ch *chargeRecord) wire(version string) any {
	out := ch.charge
	if version >= locationSince {
		return out
	}
	strip := func(d *cardDetails) *cardDetails {
		if d == nil {
			return nil
		}
		old := *d
		old.Location, old.Reader = nil, nil
		return &old
	}
	out.PaymentMethodDetails.CardPresent = strip(out.PaymentMethodDetails.CardPresent)
	out.PaymentMethodDetails.InteracPresent = strip(out.PaymentMethodDetails.InteracPresent)
	return out
}

func (ch *chargeRecord) captureBefore() time.Time {
	return time.Unix(ch.PaymentMethodDetails.card().CaptureBefore, 0)
}

func (ch *chargeRecord) lapsed(now time.Time) bool { return !now.Before(ch.captureBefore()) }

func (s *Sandbox) chargeOf(in *intentRecord) *chargeRecord {
	if in.LatestCharge == nil {
		return nil
	}
	ch, _ := s.st.Charges.get(*in.LatestCharge)
	return ch
}

// newCharge is a card read by a reader for an intent, not yet decided.
func (s *Sandbox) newCharge(in *intentRecord, rd *readerRecord, number string) *chargeRecord {
	card, now := testCards[number], s.now()
	receiptURL := "https://pay.stripe.com/receipts/" + s.random(20)
	ch := &chargeRecord{Number: number, charge: charge{
		ID: s.id("ch_3", 23), Object: "charge", Livemode: s.live, Amount: in.Amount, Created: now.Unix(), Currency: in.Currency,
		CalculatedStatementDescriptor: optional("SANDBOX"), Customer: in.Customer, Description: in.Description,
		Metadata: in.Metadata, PaymentIntent: in.ID, PaymentMethod: s.id("pm_1", 23), ReceiptEmail: in.ReceiptEmail,
		ReceiptURL: &receiptURL, Status: "succeeded", Paid: true, TransferGroup: in.TransferGroup,
		StatementDescriptor: in.StatementDescriptor, StatementDescriptorSuffix: in.StatementDescriptorSuffix,
		Outcome: outcome{NetworkStatus: "approved_by_network", SellerMessage: "Payment complete.", Type: "authorized"},
	}}
	d := &cardDetails{
		Brand: card.brand, Country: "US", ExpMonth: 12, ExpYear: now.Year() + 3, Fingerprint: s.random(16),
		Funding: card.funding, Last4: lastFour(number), Location: rd.Location, Reader: &rd.ID, Network: card.brand,
		NetworkTransactionID: s.random(15), PreferredLocales: []string{"en"}, ReadMethod: "contactless_emv",
		Receipt: receipt{
			AccountType: card.funding, ApplicationCryptogram: "9F0E330B1C8D3B7A", ApplicationPreferredName: "Stripe " + card.brand,
			AuthorizationCode: "123456", AuthorizationResponseCode: "3030", DedicatedFileName: "A000000003101001",
			CardholderVerificationMethod: firstOf(card.verification, "none"),
			TerminalVerificationResults:  "0000000000", TransactionStatusInformation: "E800",
		},
	}
	if d.Receipt.AccountType == "debit" {
		d.Receipt.AccountType = "checking"
	}
	if at := rd.State.StoredAt; !at.IsZero() {
		stored, deferred := at.Unix(), "deferred"
		d.Offline = &offlineNote{&stored, &deferred}
	}
	if card.interac {
		ch.PaymentMethodDetails = methodDetails{Type: "interac_present", InteracPresent: d}
		return ch
	}
	amount := in.Amount
	d.AmountAuthorized, d.CaptureBefore = &amount, now.Add(authorisationLife).Unix()
	s.dueBy(time.Unix(d.CaptureBefore, 0))
	ch.PaymentMethodDetails = methodDetails{Type: "card_present", CardPresent: d}
	return ch
}

func (s *Sandbox) getCharge(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	ch, ok := s.st.Charges.get(c.ids[0])
	if !ok {
		return nil, noSuch("charge", c.ids[0], "")
	}
	return ch.wire(c.version), nil
}

// updateCharge gives a charge another address for its receipt, which is sent there at
// once, as far as the mode sends any.
func (s *Sandbox) updateCharge(c *call) (any, *apiError) {
	old, ok := s.st.Charges.get(c.ids[0])
	if !ok {
		return nil, noSuch("charge", c.ids[0], "")
	}
	ch := *old
	ch.Metadata = c.metadata(old.Metadata)
	if c.given("receipt_email") {
		ch.ReceiptEmail = optional(c.text("receipt_email"))
		c.checkEmail(ch.ReceiptEmail)
	}
	if e := c.begin(); e != nil {
		return nil, e
	}
	*old = ch
	if c.given("receipt_email") && ch.ReceiptEmail != nil && ch.Captured {
		effect := EffectNotMailed
		if s.live {
			effect = EffectMailed
		}
		s.enter(ch.PaymentIntent, effect, 0, c)
	}
	return ch.wire(c.version), nil
}

func (s *Sandbox) listCharges(c *call) (any, *apiError) {
	intent, when := c.text("payment_intent"), c.created()
	return page(c, "charge", &s.st.Charges,
		func(ch *chargeRecord) bool {
			return (intent == "" || ch.PaymentIntent == intent) && when(ch.Created)
		},
		func(ch *chargeRecord) any { return ch.wire(c.version) })
}
