package sandbox

import (
	"strings"
	"testing"
)

// A receipt goes to the address that a captured charge is given, once for each time, and
// in live mode alone.
func TestAChargesReceiptGoesToItsNewAddress(t *testing.T) {
	for _, c := range []struct {
		live bool
		want string
	}{{true, EffectMailed}, {false, EffectNotMailed}} {
		sh := open(t, Options{Live: c.live})
		sh.furnish()
		pi := sh.authorised("1000")
		charge := sh.ok("GET", "/v1/charges", "payment_intent="+pi).str("data.0.id")
		mailed := func() (n int) {
			for _, e := range sh.Books() {
				if strings.HasPrefix(e.Effect, "receipt_") && e.Effect == c.want {
					n++
				}
			}
			return n
		}
		sh.ok("POST", "/v1/charges/"+charge, "receipt_email=early@example.com")
		if n := mailed(); n != 0 {
			t.Errorf("%d receipts of a payment that is not captured", n)
		}
		sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "")
		if got := sh.ok("POST", "/v1/charges/"+charge, "receipt_email=a@example.com").str("receipt_email"); got != "a@example.com" {
			t.Errorf("the address is %q", got)
		}
		sh.ok("POST", "/v1/charges/"+charge, "metadata[k]=v")
		sh.no(400, "email_invalid", "POST", "/v1/charges/"+charge, "receipt_email=nobody")
		sh.no(404, "resource_missing", "POST", "/v1/charges/ch_none", "receipt_email=a@example.com")
		if n := mailed(); n != 1 {
			t.Errorf("live %t: %d receipts, want 1", c.live, n)
		}
	}
}
