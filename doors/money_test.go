package doors

import (
	"errors"
	"testing"
)

func TestParseAmountTakesDecimalDigitsOnly(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "1250": 1250, "99999999": 99999999} {
		if n, err := ParseAmount(text); err != nil || n != want {
			t.Errorf("%q: got %d, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "0", "00", "01", "-1", "+1", "1.0", "1e3", " 1", "1 ", "1_000", "100000000", "１", "0x1", "NaN", "null"} {
		if n, err := ParseAmount(text); !errors.Is(err, ErrInvalidAmount) {
			t.Errorf("%q: got %d, %v", text, n, err)
		}
	}
}

func TestFormatPutsThePointWhereTheCurrencyHasIt(t *testing.T) {
	for _, c := range []struct {
		amount   int64
		currency string
		want     string
	}{
		{1250, "eur", "12.50 EUR"}, {5, "usd", "0.05 USD"}, {100, "gbp", "1.00 GBP"}, {-5, "eur", "-0.05 EUR"},
		{0, "eur", "0.00 EUR"}, {1250, "jpy", "1250 JPY"}, {1250, "kwd", "1.250 KWD"}, {7, "bhd", "0.007 BHD"},
		{1250, "xyz", `1250 minor units of "xyz"`}, {1, "", `1 minor units of ""`},
	} {
		if got := Format(c.amount, c.currency); got != c.want {
			t.Errorf("%d %s: got %q, want %q", c.amount, c.currency, got, c.want)
		}
	}
}

func TestCurrenciesAreThoseOfTheTable(t *testing.T) {
	for _, code := range Currencies() {
		if err := CheckCurrency(code); err != nil {
			t.Errorf("%s: %v", code, err)
		}
		if _, twice := decimalsElsewhere[code]; twice {
			t.Errorf("%s is in both tables", code)
		}
	}
	for _, code := range []string{"", "EUR", "Eur", "kwd", "eur "} {
		if err := CheckCurrency(code); !errors.Is(err, ErrInvalidCurrency) {
			t.Errorf("%q: %v", code, err)
		}
	}
}
