package doors

import (
	"regexp"
	"strings"
	"unicode"
)

// issuers holds who numbers cards how. A number counts only with its issuer's
// own length, else order numbers that happen to pass Luhn would be refused.
var issuers = []struct {
	low, high string // first digits, inclusive
	lengths   string // the letters a to g stand for 13 to 19
}{
	{"4", "4", "adg"},           // Visa, and national cards under its numbers
	{"51", "55", "d"},           // Mastercard
	{"2221", "2720", "d"},       // Mastercard
	{"34", "34", "c"},           // American Express
	{"37", "37", "c"},           // American Express
	{"300", "305", "bdefg"},     // Diners Club
	{"3095", "3095", "bdefg"},   // Diners Club
	{"36", "36", "bdefg"},       // Diners Club
	{"38", "39", "bdefg"},       // Diners Club
	{"3528", "3589", "defg"},    // JCB
	{"6011", "6011", "defg"},    // Discover
	{"644", "649", "defg"},      // Discover
	{"65", "65", "defg"},        // Discover, RuPay, Verve
	{"60", "60", "d"},           // RuPay
	{"62", "62", "defg"},        // UnionPay, eftpos
	{"81", "82", "defg"},        // UnionPay, RuPay
	{"508", "508", "d"},         // RuPay, Verve
	{"5018", "5020", "abcdefg"}, // Maestro, Dankort
	{"5038", "5038", "abcdefg"}, // Maestro
	{"5893", "5893", "abcdefg"}, // Maestro
	{"63", "63", "abcdefg"},     // Maestro, Elo
	{"67", "67", "abcdefg"},     // Maestro
	{"2200", "2204", "defg"},    // Mir
	{"9792", "9792", "d"},       // Troy
}

// Magnetic stripe contents, as wedge readers type them. Without its sentinels a
// track must also hold a card number.
var (
	trackWhole = regexp.MustCompile(`^(%[A-Za-z]\d{12,19}\^[^^]{0,40}\^.*|;\d{12,19}[=dD]\d{4}.*)$`)
	trackBare  = regexp.MustCompile(`^[A-Za-z]?(\d{13,19})([=dD]\d{7}.*|\^[^^]{0,40}\^\d{4}.*)$`)
)

// holdsCardData reports whether a value, as a whole, is a card number or a track.
// Parts of a value are never looked at: long texts hold digits by chance.
func holdsCardData(value string) bool {
	value = strings.TrimSpace(value)
	if len(value) < 13 || len(value) > 512 {
		return false
	}
	if trackWhole.MatchString(value) {
		return true
	}
	if m := trackBare.FindStringSubmatch(value); m != nil {
		return isCardNumber(m[1])
	}
	digits, ok := onlyDigits(value)
	return ok && isCardNumber(digits)
}

// onlyDigits removes what people write between groups of digits; !ok when
// anything else remains.
func onlyDigits(value string) (string, bool) {
	var digits strings.Builder
	for _, c := range value {
		switch {
		case c >= '0' && c <= '9':
			digits.WriteRune(c)
		case c >= '０' && c <= '９': // full-width, as some keyboards type them
			digits.WriteRune(c - '０' + '0')
		case unicode.IsSpace(c), unicode.Is(unicode.Pd, c), unicode.Is(unicode.Cf, c), strings.ContainsRune("._,/·•", c):
		default:
			return "", false
		}
	}
	return digits.String(), true
}

// IsCardNumber reports whether digits, and nothing else, are a card's number: of
// an issuer's prefix and length, with the right check digit.
func IsCardNumber(digits string) bool { return isCardNumber(digits) }

func isCardNumber(digits string) bool {
	if len(digits) < 13 || len(digits) > 19 {
		return false
	}
	length := 'a' + rune(len(digits)-13)
	for _, i := range issuers {
		prefix := digits[:len(i.low)]
		if prefix >= i.low && prefix <= i.high && strings.ContainsRune(i.lengths, length) {
			return luhn(digits)
		}
	}
	return false
}

func luhn(digits string) bool {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
