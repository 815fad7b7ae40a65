package hq

import (
	"context"
	"encoding/json"
	"strings"

	"storehub/doors"
)

// ReceiptMark names, in a charge's metadata, the operation that had its receipt sent last.
const ReceiptMark = "storehub_receipt"

// receiptLine is the line of receipts of a payment. It is one of its own: a receipt waits
// for the payment's capture, and no money waits for a receipt.
func receiptLine(ref string) string { return "receipt/" + ref }

// mailReceipt has Stripe send its own receipt of a captured payment (money.md 2.1: one key,
// the operation's id; what a read shows as done is not done again). The address is read from
// where personal fields are kept, and stands in nothing else that is written down.
func (s *Server) mailReceipt(ctx context.Context, st Stripe, o operation) (step, error) {
	line := o.line
	o.line = strings.TrimPrefix(line, receiptLine(""))
	if !isIntent(o.line) {
		found, err := s.resolve(ctx, st, o)
		if found.line != "" {
			found.line = receiptLine(found.line)
		}
		return found, err
	}
	in, none, err := s.read(ctx, st, o)
	if err != nil || none != nil {
		return deref(none), err
	}
	if end, err := s.proven(ctx, o, in); err != nil || end != nil {
		return deref(end), err
	}
	to, err := s.receiptAddress(ctx, o)
	if err != nil {
		return step{}, err
	}
	switch { // nothing is given up before the read has shown that it is not done
	case in.Status == "canceled":
		return failed(reasonCanceled, "the payment was cancelled: it has no receipt"), nil
	case marked(in) == o.ID:
		return mailed(o, in, nil), nil
	case to == "":
		return failed(reasonNotSent, "the address is not kept here any more"), nil
	case o.decision == dismissed:
		return failed(reasonDismissed, "a person decided against it"), nil
	case s.now().Sub(o.recordedAt) > patience:
		return failed(reasonNotSent, "the payment was not captured, or Stripe did not take the address, within 72 hours"), nil
	case in.Status != "succeeded" || in.LatestCharge == "":
		return rest(reasonNotCaptured, "Stripe sends a receipt once the payment is captured"), nil
	}
	last, had, err := s.db.lastAttempt(ctx, o.seq)
	if err != nil {
		return step{}, err
	}
	if had && last.definite() && last.status < 500 {
		return refusedFor(last), nil
	}
	a := s.key(o, last, had, nil)
	o.line = line // the lease's
	wait, err := s.write(ctx, o, &a, "receipt", func(ctx context.Context) error {
		return st.MailReceipt(ctx, o.account, in.LatestCharge, to, a.key, o.ID)
	})
	if a.message != "" {
		a.message = "Stripe did not take the address" // its own words repeat it
	}
	if err != nil || wait != nil {
		return deref(wait), err
	}
	return mailed(o, in, &a), nil
}

// receiptAddress is where a receipt is to be sent; "": it is erased, or was never kept.
func (s *Server) receiptAddress(ctx context.Context, o operation) (string, error) {
	data, err := s.db.personalOf(ctx, o.store, o.ID)
	o.Data = data
	return doors.SendsReceipt(o.Operation), err
}

// marked is the operation that had the receipt of the payment's charge sent last.
func marked(in Intent) string {
	var raw struct {
		Charge struct {
			Metadata map[string]string `json:"metadata"`
		} `json:"latest_charge"`
	}
	_ = json.Unmarshal(in.Raw, &raw) // a charge that is not expanded: nobody
	return raw.Charge.Metadata[ReceiptMark]
}

func mailed(o operation, in Intent, a *attempt) step {
	n := step{state: doors.Succeeded, result: object(in.LatestCharge, "charge", ""), attempt: a}
	if o.Mode == doors.Test {
		n.message = "Stripe sends no e-mail in test mode"
	}
	return n
}
