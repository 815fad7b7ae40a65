package words

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTenLanguages(t *testing.T) {
	want := []string{"en", "da", "de", "es", "fr", "it", "nl", "pl", "pt", "sv"}
	if got := Languages(); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if !Known("de") || Known("tlh") || Known("") {
		t.Error("de is known, tlh and nothing are not")
	}
}

// Every language has the same sentences, each a sentence of its own.
func TestFilesHoldTheSameSentences(t *testing.T) {
	for l, sentences := range catalogue {
		for english, said := range sentences {
			for other := range catalogue {
				if _, ok := catalogue[other][english]; !ok {
					t.Errorf("%s.json lacks %q, which %s.json has", other, english, l)
				}
			}
			if said == "" || said == english || !strings.HasSuffix(said, ".") || utf8.RuneCountInString(said) > 120 || said != strings.TrimSpace(said) {
				t.Errorf("%s: %q is %q", l, english, said)
			}
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct{ accept, own, want string }{
		{"", "", "en"},
		{"", "fr", "fr"},
		{"de", "", "de"},
		{"de-AT,de;q=0.9,en;q=0.5", "fr", "de"},
		{"pt-BR", "", "pt"},
		{"en-US,en;q=0.9", "de", "en"}, // a till that says English means it
		{"ja, sv;q=0.5", "de", "sv"},
		{"ja", "de", "de"},
		{"*", "de", "de"},
		{"de;q=x", "fr", "fr"},
		{strings.Repeat("de,", 1000), "fr", "fr"},
	} {
		if got := Match(c.accept, c.own); got != c.want {
			t.Errorf("%.40q in a store that reads %q: %q, want %q", c.accept, c.own, got, c.want)
		}
	}
}

func TestIn(t *testing.T) {
	for _, c := range []struct{ lang, text, want string }{
		{"de", "Card declined. Ask for another card.", "Karte abgelehnt. Bitten Sie um eine andere Karte."},
		{"de", "Card payments are down: the store's internet line is down.", "Kartenzahlung geht nicht. Die Internetleitung der Filiale ist ausgefallen."},
		{"fr", "Card payments are down: the router does not answer. Restart it.", "Les paiements par carte ne fonctionnent pas. Le routeur ne répond pas. Redémarrez l'appareil."},
		{"de", "Card declined. No such sentence.", "Card declined. No such sentence."},
		{"de", "", ""},
		{"en", "Card declined.", "Card declined."},
		{"tlh", "Card declined.", "Card declined."},
	} {
		if got := In(c.lang, c.text); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.lang, c.text, got, c.want)
		}
	}
}

func FuzzIn(f *testing.F) {
	f.Add("de-AT", "Card payments are down: the store's internet line is down.")
	f.Add("*;q=0", "Card payments are down: ")
	f.Add("", ". . ")
	f.Fuzz(func(t *testing.T, accept, text string) {
		if l := Match(accept, "de"); !Known(l) {
			t.Errorf("%q is not a language", l)
		}
		if got := In("en", text); got != text {
			t.Errorf("English became %q", got)
		}
		if got := In("de", text); utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
