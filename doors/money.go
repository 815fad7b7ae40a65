package doors

import (
	"slices"
	"strconv"
	"strings"
)

// MaxAmount is the largest amount Stripe takes, in minor units.
const MaxAmount = 99_999_999

// ParseAmount reads an amount in minor units: decimal digits only, 1 to
// [MaxAmount]. There is no sign, point, exponent, space or leading zero that it
// forgives: a lenient reading of money is a wrong one.
func ParseAmount(text string) (int64, error) {
	if text == "" || len(text) > 8 || text[0] == '0' || strings.Trim(text, "0123456789") != "" {
		return 0, ErrInvalidAmount
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, ErrInvalidAmount
	}
	return n, nil
}

// CheckAmount refuses what [ParseAmount] would.
func CheckAmount(n int64) error {
	if n < 1 || n > MaxAmount {
		return ErrInvalidAmount
	}
	return nil
}

// Decimals is the one exponent table: how many digits of a currency's minor
// units stand behind the point. The keys are the currencies in which Terminal
// can be configured.
var Decimals = map[string]int{
	"aed": 2, "aud": 2, "cad": 2, "chf": 2, "czk": 2, "dkk": 2, "eur": 2,
	"gbp": 2, "gip": 2, "hkd": 2, "huf": 2, "jpy": 0, "mxn": 2, "myr": 2, "nok": 2,
	"nzd": 2, "pln": 2, "ron": 2, "sek": 2, "sgd": 2, "usd": 2,
}

// decimalsElsewhere completes the table for display: an amount that came from
// Stripe may be in a currency that no reader here takes.
var decimalsElsewhere = map[string]int{
	"bif": 0, "clp": 0, "djf": 0, "gnf": 0, "kmf": 0, "krw": 0, "mga": 0, "pyg": 0, "rwf": 0,
	"vnd": 0, "vuv": 0, "xaf": 0, "xof": 0, "xpf": 0,
	"bgn": 2, "brl": 2, "cny": 2, "ils": 2, "inr": 2, "thb": 2, "try": 2, "zar": 2,
	"bhd": 3, "jod": 3, "kwd": 3, "omr": 3, "tnd": 3,
}

// CheckCurrency refuses what is not a lower-case code of [Decimals].
func CheckCurrency(code string) error {
	if _, ok := Decimals[code]; !ok {
		return ErrInvalidCurrency
	}
	return nil
}

// Format writes an amount of minor units for people: "12.50 EUR", "1250 JPY",
// "1.250 KWD". An amount in an unknown currency says so rather than guess where
// the point goes.
func Format(amount int64, currency string) string {
	decimals, ok := Decimals[currency]
	if !ok {
		decimals, ok = decimalsElsewhere[currency]
	}
	if !ok {
		return strconv.FormatInt(amount, 10) + " minor units of " + strconv.Quote(currency)
	}
	digits := strconv.FormatInt(amount, 10)
	sign := ""
	if rest, negative := strings.CutPrefix(digits, "-"); negative {
		sign, digits = "-", rest
	}
	if decimals > 0 {
		if short := decimals + 1 - len(digits); short > 0 {
			digits = strings.Repeat("0", short) + digits
		}
		point := len(digits) - decimals
		digits = digits[:point] + "." + digits[point:]
	}
	return sign + digits + " " + strings.ToUpper(currency)
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// Currencies lists the accepted codes in alphabetical order.
func Currencies() []string {
	var codes []string
	for code := range Decimals {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return codes
}
