package doors

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"storehub/doors/words"
)

func TestWordsAreSentencesForACashier(t *testing.T) {
	for code, s := range sayings {
		sentence := s.sentence
		if !strings.HasSuffix(sentence, ".") || len(sentence) > 100 || strings.Contains(sentence, "_") || strings.ToUpper(sentence[:1]) != sentence[:1] {
			t.Errorf("%s: %q", code, sentence)
		}
		if masked[code] {
			t.Errorf("%s has words of its own", code)
		}
	}
}

func TestWordsPreferTheDeclineCodeAndHideWhatHintsAtACrime(t *testing.T) {
	for _, c := range []struct{ code, decline, want string }{
		{"card_declined", "insufficient_funds", sayings["insufficient_funds"].sentence},
		{"card_declined", "a_new_code", declined},
		{"card_declined", "", declined},
		{"terminal_reader_offline", "", sayings["terminal_reader_offline"].sentence},
		{"a_new_code", "", ErrStripeRefused.OperatorMessage},
		{"", "", ErrStripeRefused.OperatorMessage},
		{"card_declined", "lost_card", declined},
		{"stolen_card", "", declined},
		{"fraudulent", "insufficient_funds", declined},
		{"card_declined", "pickup_card", declined},
		{"card_declined", "generic_decline", declined},
	} {
		if got := Words(c.code, c.decline); got != c.want {
			t.Errorf("%s/%s: got %q, want %q", c.code, c.decline, got, c.want)
		}
	}
}

func TestEveryCodeSaysWhatHelps(t *testing.T) {
	all := []Helps{Retry, SameCard, AnotherCard, TheReader, AManager, IT, Nothing}
	for code, s := range sayings {
		if !slices.Contains(all, s.helps) {
			t.Errorf("%s: %q helps", code, s.helps)
		}
		if asks := strings.HasSuffix(s.sentence, "Ask for another card."); asks && s.helps != AnotherCard {
			t.Errorf("%s asks for another card, and %q helps", code, s.helps)
		}
	}
	if got := forTill(&Error{Code: "stripe_refused", Stripe: "card_declined", DeclineCode: "stolen_card"}).Helps; got != AnotherCard {
		t.Errorf("a stolen card is told apart by what helps: %q", got)
	}
	if got := forTill(&Error{Code: "stripe_refused", Stripe: "a_new_code"}).Helps; got != "" {
		t.Errorf("nobody knows what helps against a new code: %q", got)
	}
}

// The cashier reads the language of the till, else the store's, on every surface.
func TestRefusalsSpeakTheTillsLanguage(t *testing.T) {
	const english, german, danish = "This till may not do that. Call your manager.", "Diese Kasse darf das nicht. Rufen Sie Ihre Filialleitung.", "Denne kasse må ikke gøre det. Tilkald din chef."
	for _, c := range []struct{ accept, own, want, language string }{
		{"", "", english, ""},
		{"de-DE,de;q=0.9,en;q=0.8", "", german, "de"},
		{"", "da", danish, "da"},
		{"en", "da", english, ""},
		{"ja", "da", danish, "da"},
	} {
		s := newShop()
		s.outcome = failedWith("charge_already_refunded")
		h := Handler(s, Options{Language: c.own})
		w := call(h, post, "/v1/operations", `{"kind":"capture","ref":"pi_1"}`, asMonitor, jsonBody, withKey, "Accept-Language: "+c.accept)
		if !strings.Contains(w.Body.String(), `"operator_message":"`+c.want+`"`) || w.Header().Get("Content-Language") != c.language {
			t.Errorf("%q in a store that reads %q: %q %s", c.accept, c.own, w.Header(), w.Body)
		}
		w = call(h, post, "/capture_payment_intent", captureForm, asPOS, formBody, "Accept-Language: "+c.accept)
		if want := words.In(c.language, "This payment was already given back.") + " (stripe_refused)\n"; w.Body.String() != want {
			t.Errorf("%q in a store that reads %q: %q, want %q", c.accept, c.own, w.Body, want)
		}
	}
}

// What hides in English hides in every language.
func TestAMaskedDeclineIsMaskedInEveryLanguage(t *testing.T) {
	for _, l := range words.Languages() {
		s := newShop()
		h := Handler(s, Options{Language: l})
		bodies := map[string]bool{}
		for _, code := range []string{"lost_card", "generic_decline"} {
			s.silent = &Error{Status: 402, Code: "stripe_refused", Message: "x", Stripe: "card_declined", DeclineCode: code}
			bodies[call(h, post, "/connection_token", "", asPOS).Body.String()] = true
		}
		if want := words.In(l, declined) + " (stripe_refused)\n"; len(bodies) != 1 || !bodies[want] {
			t.Errorf("%s: %q, want %q alone", l, slices.Collect(maps.Keys(bodies)), want)
		}
	}
}
