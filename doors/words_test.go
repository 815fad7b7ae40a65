package doors

import (
	"strings"
	"testing"
)

func TestWordsAreSentencesForACashier(t *testing.T) {
	for code, sentence := range words {
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
		{"card_declined", "insufficient_funds", words["insufficient_funds"]},
		{"card_declined", "a_new_code", declined},
		{"card_declined", "", declined},
		{"terminal_reader_offline", "", words["terminal_reader_offline"]},
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
